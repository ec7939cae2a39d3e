"""asv's own files, from a journal."""

import math
import shutil
import subprocess
from pathlib import Path

import pytest
from asv.results import Results

from benchmarks.environment import SIZE_VARIABLE
from benchmarks.measure import Failure
from benchmarks.runner import collecting
from benchmarks.runner.collecting import ENVIRONMENT, collect
from benchmarks.sizes import SMOKE
from reports.loaders import load_asv
from tests.benchmarks.runner.cases import measurement

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A repository with the code of this one."""
    root = tmp_path_factory.mktemp("tree")
    for package in ("symadj", "benchmarks", "reports"):
        (root / package).symlink_to(ROOT / package)
    shutil.copy(ROOT / "asv.conf.json", root)
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    for arguments in (("init", "-b", "main"), ("add", "."), ("commit", "-m", "first")):
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True
    )
    return root, done.stdout.strip()


def test_asv_and_the_report_read_what_was_measured(tree, tmp_path, monkeypatch):
    root, commit = tree
    monkeypatch.setenv("HOME", str(tmp_path))  # where asv has its list of machines
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    given = {"commit": commit, "cpu": "Some CPU", "num_cpu": 2, "gpu": None}
    given |= {"python": "3.11.7", "num_threads": 1}
    good, failed, absent, *_ = SMOKE.cases("kdv")
    outcomes = {good: measurement(), failed: Failure("boom")}
    file = collect(root, given, outcomes)

    results = root / ".asv" / "results"
    assert file == results / "Some-CPU-2-cores" / f"{commit[:8]}-{ENVIRONMENT}.json"
    assert str(root) not in file.read_text()
    record = Results.load(str(file), machine_name="Some-CPU-2-cores")
    assert record.commit_hash == commit
    assert {name.rpartition(".")[0] for name in record.get_all_result_keys()} == {"suites.kdv.Kdv"}
    name = "suites.kdv.Kdv.track_nvjp"
    first, second, third, *_ = record.get_result_value(name, record.get_result_params(name))
    assert first == outcomes[good].nvjp
    assert second is None
    assert math.isnan(third)

    loaded = load_asv(results)
    assert loaded.warnings == ()
    (run,) = loaded.runs
    by_method = {item.case.method: item for item in run.measurements}
    assert by_method[good.method].value("peak_cpu_bytes") == outcomes[good].peak_cpu_bytes
    assert "nvjp" in by_method[failed.method].failed
    assert absent.method not in by_method
    assert run.environment.python == "3.11.7"

    monkeypatch.setattr(collecting, "_asv", lambda *_: None)  # it has said all it knows
    collect(root, given, {case: measurement(9.0) for case in SMOKE.cases("mlp-steps")})
    record = Results.load(str(file))
    assert record.get_result_value(name, record.get_result_params(name))[0] == outcomes[good].nvjp
    assert "suites.mlp.MlpSteps.track_nvjp" in record.get_all_result_keys()
