"""In which order a comparison measures, and what time each part is given."""

import threading
import time
from contextlib import contextmanager

import pytest

from benchmarks.compare import measurement
from benchmarks.compare.measurement import measure
from benchmarks.compare.work import WORKS

from .invented import LIMITS

PATIENCE = 30.0


class Counter:
    """In place of a process under valgrind."""

    def __init__(self):
        self.is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def counter(monkeypatch):
    """Have nothing measured, and return what would count."""
    counter = Counter()

    @contextmanager
    def started(_contestants, _make):
        yield {"base": counter, "head": counter}

    monkeypatch.setattr(measurement, "launchers_of", started)
    monkeypatch.setattr(measurement, "_check", lambda *_: None)
    monkeypatch.setattr(measurement, "_measure_exact", lambda *_: None)
    monkeypatch.setattr(measurement, "_runs", lambda *_: True)
    monkeypatch.setattr(measurement, "is_available", lambda: True)
    monkeypatch.setattr(measurement, "clock_by_turns", lambda *_: None)
    monkeypatch.setattr(measurement, "count_instructions", lambda *_: None)
    return counter


def test_instructions_are_counted_beside_the_seconds_and_both_end_in_time(counter, monkeypatch):
    """Each waits until the other has begun: one after the other, neither would go on."""
    has_begun = {"count": threading.Event(), "clock": threading.Event()}
    left = {}

    def part(name, other):
        def run(*arguments):
            has_begun[name].set()
            assert has_begun[other].wait(PATIENCE)
            left[name] = arguments[-1] - time.monotonic()

        return run

    monkeypatch.setattr(measurement, "count_instructions", part("count", "clock"))
    monkeypatch.setattr(measurement, "clock_by_turns", part("clock", "count"))
    measure(None, WORKS, None, LIMITS, 300.0, {})
    assert left == {"count": pytest.approx(300, abs=2), "clock": pytest.approx(300, abs=2)}
    assert counter.is_closed


def test_who_counts_is_ended_when_the_clock_fails(counter, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measurement, "clock_by_turns", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(None, WORKS, None, LIMITS, 300.0, {})
    assert counter.is_closed


def test_what_is_not_expected_of_counting_is_raised(counter, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(measurement, "count_instructions", broken)
    with pytest.raises(ZeroDivisionError):
        measure(None, WORKS, None, LIMITS, 300.0, {})


@pytest.mark.parametrize("seconds", [0.0, 300.0])
def test_only_what_is_counted_needs_valgrind(counter, monkeypatch, seconds):
    counts = []
    monkeypatch.setattr(measurement, "count_instructions", lambda *_: counts.append(1))
    works = WORKS if seconds == 0 else [work for work in WORKS if not work.is_counted]
    measure(None, works, None, LIMITS, seconds, {})
    assert not counts
