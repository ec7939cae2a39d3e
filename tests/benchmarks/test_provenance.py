import json
import os

import pytest
import torch

from benchmarks import provenance
from benchmarks.environment import THREADS_VARIABLE
from benchmarks.problems import PROBLEMS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_file_lies_beside_the_machines_results(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    provenance.main(
        [
            *("--results", str(tmp_path)),
            *("--commit", COMMIT),
            *("--environment", "existing-py"),
            *("--machine", "somewhere"),
        ]
    )
    path = tmp_path / "somewhere" / "provenance" / "01234567-existing-py.json"
    assert capsys.readouterr().out.strip() == str(path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["schema"] == 1
    assert record["commit"] == COMMIT
    assert record["packages"]["torch"] == torch.__version__
    assert record["num_threads"] == 3
    assert record["cpu"]
    assert record["gpu"] is None
    assert set(record) == {
        *("schema", "commit", "date", "python", "packages", "num_threads", "cpu", "gpu"),
        *("problems", "foreign_methods"),
    }


def test_every_problem_says_where_its_data_come_from():
    problems = provenance.provenance(COMMIT)["problems"]
    assert set(problems) == set(PROBLEMS)
    assert problems["digits-cnf"]["data"] == "real"
    assert problems["kdv"]["data"] == "computed"
    assert problems["mlp-size"]["data"] == "synthetic"
    assert "scikit-learn" in problems["digits-classifier"]["source"]
    assert problems["kdv"]["version"] == PROBLEMS["kdv"].version


def test_packages_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package-anywhere"))
    assert list(provenance.provenance(COMMIT)["packages"]) == ["torch"]


def test_the_newest_environment_of_a_commit_is_found(tmp_path):
    (tmp_path / "here").mkdir()
    for age, name in ((20, "aaaaaaaa-old-env"), (10, "aaaaaaaa-new-env"), (0, "bbbbbbbb-other")):
        path = tmp_path / "here" / f"{name}.json"
        path.write_text("{}")
        os.utime(path, (1e9 - age, 1e9 - age))
    assert provenance.newest_environment(tmp_path, "here", "a" * 40) == "new-env"
    with pytest.raises(SystemExit, match="run asv first"):
        provenance.newest_environment(tmp_path, "here", "c" * 40)
