"""A case that ends its process is a failure, and takes no other with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.environment import SIZE_VARIABLE
from benchmarks.measure import Failure
from benchmarks.measurement import Measurement
from benchmarks.runner import worker
from tests.benchmarks.runner.cases import group, measurement

METHODS = ("symadj", "torchdiffeq-adjoint", "torchdiffeq-backprop")
GROUP = group(methods=METHODS)


@pytest.fixture(autouse=True)
def _smoke(monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")


@pytest.fixture
def forked(monkeypatch):
    """Children are forked from the test, and so have what the test put in its place."""
    monkeypatch.setattr(worker, "_context", lambda: worker.multiprocessing.get_context("fork"))


def killed_by(*methods):
    """Measure as if these methods' cases ran out of memory."""

    def measure(cases, known, announce):
        for case in cases:
            if case in known:
                continue
            announce(case)
            if case.method in methods:
                os.kill(os.getpid(), signal.SIGKILL)
        return {case: known.get(case, measurement()) for case in cases}

    return measure


def test_a_fresh_process_measures_as_this_one_would():
    outcomes = worker.measure_apart(GROUP)
    assert list(outcomes) == list(GROUP)
    assert all(isinstance(outcome, Measurement) for outcome in outcomes.values())
    assert outcomes[GROUP[0]].nfe_forward == 12


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("guilty", [METHODS[:1], METHODS[1:], METHODS])
def test_only_the_cases_that_end_the_process_fail(monkeypatch, guilty):
    monkeypatch.setattr(worker, "measure_group", killed_by(*guilty))
    outcomes = worker.measure_apart(GROUP)
    for case, outcome in outcomes.items():
        assert isinstance(outcome, Failure) == (case.method in guilty)
        if isinstance(outcome, Failure):
            assert "SIGKILL, as when memory runs out" in outcome.traceback


@pytest.mark.usefixtures("forked")
def test_a_group_that_cannot_be_measured_fails_as_a_whole(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such problem")

    monkeypatch.setattr(worker, "measure_group", broken)
    for outcome in worker.measure_apart(GROUP).values():
        assert "no such problem" in outcome.traceback


@pytest.mark.usefixtures("forked")
def test_an_end_before_any_case_fails_as_a_whole(monkeypatch):
    monkeypatch.setattr(worker, "measure_group", lambda *_: os._exit(3))
    for outcome in worker.measure_apart(GROUP).values():
        assert "exit status 3" in outcome.traceback


PARENT = """
import os, time
from benchmarks.runner import worker
def endless(cases, known, announce):
    print(os.getpid(), flush=True)
    time.sleep(600)
worker.measure_group = endless
worker._context = lambda: worker.multiprocessing.get_context("fork")
worker.measure_apart(())
"""


def test_a_child_does_not_outlive_its_killed_parent():
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=root, stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    os.kill(child, 0)  # it is there
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(500):
        if not is_running(child):
            return
        time.sleep(0.02)
    pytest.fail("the child is still there after ten seconds")


def is_running(process):
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
