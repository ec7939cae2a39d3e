"""A solver from outside, as docs/benchmark-your-solver.md has it: written, run, reported."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.discretization import adaptive, fixed_grid
from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.methods import BASELINE, METHODS, MissingPackageError, NotOfferedError, plug_in
from benchmarks.methods.foreign import METHODS_VARIABLE, foreign_methods, named_method
from benchmarks.problems import PROBLEMS
from benchmarks.provenance import described_foreign_methods

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")


@pytest.fixture
def package(tmp_path):
    """Write the document's example, every file that it names, into a folder."""
    text = (ROOT / "docs" / "benchmark-your-solver.md").read_text(encoding="utf-8")
    files = re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["my_solver.py", "pyproject.toml"]
    folder = tmp_path / "my-solver"
    folder.mkdir()
    for name, content in files:
        (folder / name).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
def importable(package, monkeypatch):
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.delitem(sys.modules, "my_solver", raising=False)


def classifier():
    return PROBLEMS["digits-classifier"].build("64-8-64 batch 4", torch.float64, CPU)


def test_the_example_takes_the_baselines_steps_on_a_grid(importable):
    how = fixed_grid("rk4", num_steps=5, duration=1.0)
    expected = flat_gradient(classifier(), METHODS[BASELINE].solve, how)
    ours = named_method("my_solver:solve").solve
    assert relative_error(flat_gradient(classifier(), ours, how), expected) < 1e-13


def test_what_it_does_not_offer_is_said_in_its_own_words(importable):
    ours = named_method("mine=my_solver:solve").solve
    with pytest.raises(NotOfferedError, match="mine: no tableau heun2, only rk4"):
        flat_gradient(classifier(), ours, fixed_grid("heun2", num_steps=5, duration=1.0))


def test_a_function_that_is_not_there_is_named_when_it_is_called():
    how = adaptive("dopri5", rtol=1e-3, atol=1e-3, first_step=0.1)
    for text in ("no_such_package.module:solve", "math:no_such_function"):
        with pytest.raises(MissingPackageError, match=f"{text}, which cannot be imported"):
            flat_gradient(classifier(), named_method(text).solve, how)


@pytest.mark.parametrize("text", ["my_solver", "my_solver:", ":solve", "a b:c", "x=my_solver"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=r"not of the form package\.module:function"):
        named_method(text)


def test_methods_are_named_by_the_environment(monkeypatch):
    monkeypatch.setenv(METHODS_VARIABLE, "one=a.b:c, d:e")
    assert [method.name for method in foreign_methods()][-2:] == ["one", "d:e"]
    assert described_foreign_methods() == {"one": "one=a.b:c", "d:e": "d:e"}


def test_plugging_in_is_for_this_process_and_those_it_starts(monkeypatch):
    monkeypatch.setenv(METHODS_VARIABLE, "")
    try:
        assert plug_in("mine=my_solver:solve") == "mine"
        assert plug_in("mine=my_solver:solve") == "mine"  # as if said twice
        assert os.environ[METHODS_VARIABLE] == "mine=my_solver:solve"
        assert "mine" in METHODS
    finally:
        METHODS.pop("mine", None)


def test_an_installed_package_is_found_by_its_entry_point(package):
    record = package / "my_solver-1.0.dist-info"  # what pip would write
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: my-solver\nVersion: 1.0\n")
    declared = re.search(
        r'entry-points\."(.*?)"\]\n(.*?)\n\n', (package / "pyproject.toml").read_text(), re.DOTALL
    )
    entry = declared[2].replace('"', "")
    (record / "entry_points.txt").write_text(f"[{declared[1]}]\n{entry}\n")
    code = (
        "from benchmarks.methods import METHODS, ON_REQUEST; from benchmarks.sizes import QUICK;"
        "from benchmarks.provenance import described_foreign_methods;"
        "usual = {name for name in METHODS if name not in ON_REQUEST};"
        "print(list(METHODS)[-1], {c.method for c in QUICK.cases('kdv')} == usual);"
        "print(described_foreign_methods())"
    )
    assert python("-c", code, path=package).splitlines() == [
        "my-solver True",
        "{'my-solver': 'my_solver:solve (my-solver 1.0)'}",
    ]


def test_its_row_is_in_the_results_and_in_the_report(package, tmp_path):
    results, site = tmp_path / "results.json", tmp_path / "site"
    python(
        *("-m", "pytest", "benchmarks/pytest_suite", "-q", "-o", "addopts="),
        *("--method", "my-solver=my_solver:solve", f"--benchmark-json={results}"),
        *("-k", "digits-classifier and (my-solver or backprop)"),
        path=package,
        SYMADJ_BENCHMARK_SIZE="smoke",
    )
    rows = {
        entry["extra_info"]["method"]: entry["extra_info"]
        for entry in json.loads(results.read_text())["benchmarks"]
    }
    assert set(rows) == {"my-solver", BASELINE}
    ours = rows["my-solver"]
    assert ours["nfe_forward"] == 4 * ours["num_accepted"] == 80
    assert ours["nvjp"] == 80
    assert 0 < ours["relative_gradient_error"] < 1e-3
    assert ours["relative_step_gradient_error"] > 0 or math.isnan(
        ours["relative_step_gradient_error"]
    )
    assert ours["peak_cpu_bytes"] > 0
    empty = tmp_path / "empty"
    empty.mkdir()
    python(
        *("-m", "reports", "build", "--output", str(site), "--results", str(empty)),
        *("--pytest-benchmark", str(results)),
        path=package,
    )
    page = next(site.rglob("*digits-classifier*.html")).read_text(encoding="utf-8")
    assert "my-solver" in page


def python(*arguments, path, **variables):
    """Run Python as somebody would who has the package installed; return what it printed."""
    variables["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(path)))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
