"""What may be kept in git, and what may not."""

import json
import platform

import pytest

from benchmarks.export import ExportError, export
from benchmarks.runner.collecting import ENVIRONMENT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"01234567-{ENVIRONMENT}.json"


@pytest.fixture
def results(tmp_path):
    machine = tmp_path / "asv" / "CPU-2-cores"
    (machine / "provenance").mkdir(parents=True)
    (machine / "training").mkdir()
    (machine / NAME).write_text('{"version": 2, "results": {"x": [[NaN, 1.5]]}}')
    provenance = {"commit": COMMIT, "size": "quick", "is_dirty": False}
    (machine / "provenance" / NAME).write_text(json.dumps(provenance))
    training = {"kind": "training", "conditions": provenance, "curves": []}
    (machine / "training" / "01234567-quick-kdv-seed-0.json").write_text(json.dumps(training))
    (machine / "training" / "99999999-quick-kdv-seed-0.json").write_text("{}")
    return tmp_path / "asv"


def test_what_there_is_of_a_commit_is_copied(results, tmp_path):
    reference = tmp_path / "reference"
    written = export(results, reference, "CPU-2-cores", COMMIT)
    machine = reference / "CPU-2-cores"
    assert written == [
        machine / NAME,
        machine / "provenance" / NAME,
        machine / "training" / "01234567-quick-kdv-seed-0.json",
    ]
    assert (machine / NAME).read_text() == (results / "CPU-2-cores" / NAME).read_text()
    assert sorted(reference.rglob("*.json")) == sorted(written)


@pytest.mark.parametrize("change", [{"is_dirty": True}, {"size": "smoke"}])
def test_what_is_no_reference_is_refused(results, tmp_path, change):
    file = results / "CPU-2-cores" / "provenance" / NAME
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ExportError, match=r"uncommitted changes|size smoke"):
        export(results, tmp_path / "reference", "CPU-2-cores", COMMIT)
    assert not (tmp_path / "reference").exists()


def test_a_hosts_name_and_a_folder_are_refused(results, tmp_path):
    file = results / "CPU-2-cores" / NAME
    for private in (platform.node(), str(tmp_path.home())):
        file.write_text(json.dumps({"params": {"machine": private}}))
        with pytest.raises(ExportError, match="whose machine it was"):
            export(results, tmp_path / "reference", "CPU-2-cores", COMMIT)


def test_nothing_to_export_says_what_to_do(results, tmp_path):
    with pytest.raises(ExportError, match="python -m benchmarks run"):
        export(results, tmp_path / "reference", "CPU-2-cores", "f" * 40)
