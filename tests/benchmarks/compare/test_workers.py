"""The whole, once, on one small case: two folders compared, a fault found, workers that die."""

import json
import os
import shutil
import sys
from dataclasses import replace

import pytest

from benchmarks.__main__ import main
from benchmarks.compare.commands import THRESHOLDS
from benchmarks.compare.launcher import HARNESS, Launcher, WorkerError
from benchmarks.compare.proof import planting
from benchmarks.compare.proof.planting import EXACT_FAULTS, NO_FAULT, Fault, PlantingError, plant
from benchmarks.compare.work import WORKS, select, to_plain
from reports.tolerances import read_thresholds

CASE = "mlp-steps/rk4/2-8-2"
WORK = to_plain(select(WORKS, CASE)[0])


@pytest.fixture(scope="module")
def launcher():
    with Launcher(sys.executable) as started:
        started.wait()
        yield started


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(HARNESS / "symadj", folder / "symadj")
    return folder


def compare(tmp_path, base, head, *options):
    arguments = ["compare", str(base), str(head), "--cases", CASE, "--exact-only"]
    outputs = ["--folder", str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]
    return main([*arguments, *outputs, *options])


def test_each_worker_has_its_own_sides_packages(launcher, copy):
    with (
        launcher.worker({"base": [str(copy)]}) as ours,
        launcher.worker({"head": [str(HARNESS)]}) as theirs,
    ):
        (base,), (head,) = ours.origins.values(), theirs.origins.values()
    assert base["symadj"].startswith(str(copy))
    assert head["symadj"].startswith(str(HARNESS / "symadj"))
    assert base["torchdiffeq"] == head["torchdiffeq"]


def test_one_worker_runs_both_sides_each_with_its_own_packages(launcher, copy, tmp_path):
    sleepy = plant(Fault("sleepy", "more_sleep", 0.5), tmp_path / "sleepy")
    sides = {"base": [str(copy)], "head": [str(sleepy)]}
    with launcher.worker(sides) as worker:
        for side, (path,) in sides.items():
            assert worker.origins[side]["symadj"].startswith(path)
        rounds = worker.ask(
            do="rounds",
            works=dict.fromkeys(sides, WORK),
            order=("base", "head", "head", "base"),
            num_calls=2,
            seconds=0.0,
        )
    ((base, head, again, last),) = rounds
    assert min(head[2], again[2]) > 2 * max(base[2], last[2])  # asleep, not computing


def test_exact_metrics_repeat(launcher, copy):
    with launcher.worker({"base": [str(copy)]}) as worker:
        first, second = (worker.ask(do="exact", work=WORK, is_isolated=True) for _ in range(2))
    # As in a comparison: Python's own objects move the peak by some kilobytes.
    peak = read_thresholds(THRESHOLDS)["peak_cpu_bytes"]
    assert peak.compare(first.pop("peak_cpu_bytes"), second.pop("peak_cpu_bytes")) == 0
    assert first == second
    assert first["nfe_forward"] == 16
    assert first["relative_step_gradient_error"] < 1e-6
    wall, own, blocked = 0.0, 0.0, 0.0
    with launcher.worker({"base": [str(copy)]}) as worker:
        wall, own, blocked = worker.ask(do="time", work=WORK, num_calls=2)
    assert wall > own - 1e-3  # two clocks, read one after the other
    assert own > blocked >= 0


def test_what_a_side_raises_comes_back_and_the_worker_goes_on(launcher, copy):
    with launcher.worker({"base": [str(copy)]}) as worker:
        wrong = {**WORK, "case": {**WORK["case"], "method": "unheard of"}}
        with pytest.raises(WorkerError, match="unheard of"):
            worker.ask(do="exact", work=wrong, is_isolated=True)
        assert worker.ask(do="exact", work=WORK, is_isolated=True)["nvjp"] == 16


def test_a_side_that_cannot_be_imported_says_why(launcher, tmp_path):
    (tmp_path / "symadj").mkdir()
    (tmp_path / "symadj" / "__init__.py").write_text("raise ValueError('planted')")
    with pytest.raises(WorkerError, match="planted"), launcher.worker({"base": [str(tmp_path)]}):
        pass


def test_a_process_that_ends_is_said(launcher, copy):
    with launcher.worker({"base": [str(copy)]}) as worker:
        os.kill(worker.pid, 9)
        with pytest.raises(WorkerError, match="the process ended during 'exact'"):
            worker.ask(do="exact", work=WORK)


def test_no_answer_in_time_is_said(launcher, copy):
    with (
        launcher.worker({"base": [str(copy)]}) as worker,
        pytest.raises(WorkerError, match="no answer"),
    ):
        worker.ask(timeout_seconds=0.01, do="exact", work=WORK)


def test_no_change_is_none_and_the_page_is_written(tmp_path, copy, capsys):
    assert compare(tmp_path, copy, copy) == 0
    assert "no change among" in capsys.readouterr().out
    assert "no change among" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_planted_fault_is_found_and_shown_again_from_the_journal(tmp_path, copy, capsys):
    faulty = plant(EXACT_FAULTS[0], tmp_path / "faulty")
    assert compare(tmp_path, copy, faulty) == 1
    assert "evaluations of f, forward" in capsys.readouterr().out
    (journal,) = (tmp_path / "out" / "journals").iterdir()
    assert main(["compare-journal", str(journal)]) == 1
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-2]))  # killed before the head was measured
    assert main(["compare-journal", str(journal)]) == 2
    assert "ended before it was done" in capsys.readouterr().out


def test_an_unfinished_comparison_measures_only_what_is_missing(tmp_path, copy):
    assert compare(tmp_path, copy, copy) == 0
    (journal,) = (tmp_path / "out" / "journals").iterdir()
    header, *exact, _ = journal.read_text().splitlines()
    base, head = sorted(exact, key=lambda line: json.loads(line)["side"])
    marked = json.loads(base)
    marked["values"]["nfe_forward"] = 15.0  # to be told from one measured anew
    journal.write_text("\n".join([header, json.dumps(marked), head[: len(head) // 2]]))
    assert compare(tmp_path, copy, copy) == 1
    assert len(list(journal.parent.iterdir())) == 1


def test_what_cannot_be_compared_is_said_with_status_2(tmp_path, capsys):
    assert compare(tmp_path, "no-such-tag", ".") == 2
    assert "no-such-tag" in capsys.readouterr().err
    assert compare(tmp_path, tmp_path, tmp_path) == 2
    assert main(["compare-journal", str(tmp_path / "none.jsonl")]) == 2
    assert compare(tmp_path, ".", ".", "--cases", "no such case") == 2


def test_a_fault_that_is_met_no_more_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(planting, "PLANTED", tmp_path)
    (tmp_path / "idle.py").write_text("hits = 0\n")
    with pytest.raises(PlantingError, match="does not take effect"):
        plant(replace(NO_FAULT, name="idle", module="idle"), tmp_path / "copy")
