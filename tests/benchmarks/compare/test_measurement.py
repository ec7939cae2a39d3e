"""In which order a comparison measures, and what time each part is given."""

import itertools
import time
from contextlib import contextmanager

import pytest

from benchmarks.compare import measurement
from benchmarks.compare.measurement import MAX_SHARE_OF_INSTRUCTIONS, measure
from benchmarks.compare.work import WORKS


class Counter:
    """In place of a process under valgrind, which has started from some question on."""

    def __init__(self, asked_in_vain):
        self._answers = itertools.chain([False] * asked_in_vain, itertools.repeat(True))
        self.is_closed = False

    def has_answered(self):
        return next(self._answers)

    def close(self):
        self.is_closed = True


@pytest.fixture
def parts(monkeypatch):
    """Put records of what would be measured in place of measuring; return them."""
    parts = []

    def count(_contestants, _works, _journal, _counters, limit):
        parts.append(("count", limit - time.monotonic()))

    def clock(_contestants, work, _journal, _launchers, attempt_and_limit):
        parts.append((work.name.split("/")[0], attempt_and_limit[1] - time.monotonic()))

    monkeypatch.setattr(measurement, "_check", lambda *_: None)
    monkeypatch.setattr(measurement, "_measure_exact", lambda *_: None)
    monkeypatch.setattr(measurement, "_runs", lambda *_: True)
    monkeypatch.setattr(measurement, "_time", clock)
    monkeypatch.setattr(measurement, "count_instructions", count)
    monkeypatch.setattr(measurement, "rounds_of", lambda *_: ())
    monkeypatch.setattr(measurement, "is_available", lambda: True)
    return parts


def run(monkeypatch, asked_in_vain, works=WORKS):
    counter = Counter(asked_in_vain)

    @contextmanager
    def started(_contestants, _make):
        yield {"base": counter, "head": counter}

    monkeypatch.setattr(measurement, "launchers_of", started)
    measure(None, works, None, {}, 300.0, {})
    assert counter.is_closed


def test_instructions_come_first_where_valgrind_has_started(parts, monkeypatch):
    run(monkeypatch, asked_in_vain=0)
    assert [name for name, _ in parts] == ["count", "mlp-size", "mlp-size", "mlp-steps"]
    assert parts[0][1] == pytest.approx(300 * MAX_SHARE_OF_INSTRUCTIONS, abs=1.0)


def test_the_first_seconds_are_measured_while_valgrind_starts_and_no_more(parts, monkeypatch):
    run(monkeypatch, asked_in_vain=100)
    assert [name for name, _ in parts] == ["mlp-size", "count", "mlp-size", "mlp-steps"]
    assert parts[0][1] == pytest.approx(50.0, abs=1.0)  # of three, and half for the repetition


def test_instructions_are_counted_where_nothing_or_one_work_is_timed(parts, monkeypatch):
    counted = [work for work in WORKS if work.is_counted]
    timed = [work for work in WORKS if work.is_timed]
    run(monkeypatch, 100, counted)
    run(monkeypatch, 100, [*timed[:1], *counted])
    assert [name for name, _ in parts] == ["count", "mlp-size", "count"]
    assert parts[-1][1] == pytest.approx(300, abs=1.0)  # nothing else needs the time
