"""Works take turns until each is decided; a repetition has its share of the time."""

import numpy as np
import pytest

from benchmarks.compare import seconds
from benchmarks.compare.launcher import WorkerError
from benchmarks.compare.ratios import evaluate
from benchmarks.compare.seconds import SHARE_OF_FIRST, clock_by_turns
from benchmarks.compare.verdicts import needs_repeat, rounds_of
from benchmarks.compare.work import WORKS

from .invented import SECONDS, journal, rounds, timed

LAUNCH = 2.0  # seconds
TIME = 100.0
QUICK, OTHER, THIRD = (work for work in WORKS if work.is_timed)


@pytest.fixture
def launches(monkeypatch):
    """Let invented rounds be run, by a clock that goes on with them; return what was launched."""
    made = Made()
    monkeypatch.setattr(seconds, "clocked_launch", made.launch)
    monkeypatch.setattr(seconds.time, "monotonic", lambda: made.now)
    return made


class Made:
    def __init__(self):
        self.now = 0.0
        self.order = []
        self.how = {}
        self.journal = journal()
        self._generator = np.random.default_rng(0)

    def launch(self, _contestants, work, into, _launchers, place):
        attempt, launch, limit = place
        assert self.now < limit
        self.now += LAUNCH
        self.order.append((work, attempt))
        how = {"ratio": 1.0, **self.how.get(work, {})}
        if how["ratio"] is None:
            raise WorkerError("died")
        made = rounds(generator=self._generator, launches=1, per_launch=10, **how)
        for record in timed(made, attempt, work.name):
            into.add(**record | {"launch": launch})

    def run(self, *works, time=TIME):
        clock_by_turns(None, works, self.journal, {}, SECONDS, time)
        return [work for work, _ in self.order]


def test_what_is_decided_leaves_its_time_to_the_others(launches):
    launches.how = {QUICK: {"noise": 0.01}, OTHER: {"noise": 1.0}, THIRD: {"noise": 0.01}}
    order = launches.run(QUICK, OTHER, THIRD)
    assert order[:6] == [QUICK, OTHER, THIRD] * 2
    assert order.count(QUICK) == order.count(THIRD) == 5
    assert order.count(OTHER) * LAUNCH > SHARE_OF_FIRST * TIME - 12 * LAUNCH


def test_what_is_slower_is_measured_again_and_then_left(launches):
    launches.how = {QUICK: {"ratio": 1.05}}
    launches.run(QUICK, OTHER)
    assert [attempt for work, attempt in launches.order if work is QUICK] == [1] * 5 + [2] * 5
    assert needs_repeat(evaluate(rounds_of(launches.journal, QUICK.name, 2)), SECONDS)


def test_a_repetition_has_time_left_when_first_measurements_do_not_end(launches):
    """The first work is found to be slower only after the time for first measurements is spent."""
    launches.how = {QUICK: {"ratio": 1.05}, OTHER: {"noise": 1.0}, THIRD: {"noise": 1.0}}
    launches.run(QUICK, OTHER, THIRD, time=31.0 / SHARE_OF_FIRST)
    assert launches.order[-5:] == [(QUICK, 2)] * 5
    assert launches.now > 31.0


def test_nothing_is_launched_once_the_time_is_spent(launches):
    launches.now = 10.0
    assert launches.run(QUICK, time=9.0) == []


def test_a_work_whose_worker_dies_is_noted_and_the_others_go_on(launches):
    launches.how = {QUICK: {"ratio": None}}
    order = launches.run(QUICK, OTHER)
    assert order == [QUICK, *[OTHER] * 5]
    (note,) = launches.journal.of("note")
    assert note["text"] == f"{QUICK.name}: died"


def test_rounds_of_a_run_that_was_ended_count(launches):
    launches.journal.records += timed(rounds(1.0, np.random.default_rng(1)), 1, QUICK.name)
    assert launches.run(QUICK) == []
