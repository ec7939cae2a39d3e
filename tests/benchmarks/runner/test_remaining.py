"""The time left, guessed from what is known."""

import math

from benchmarks.groups import title
from benchmarks.runner.remaining import remaining_seconds
from tests.benchmarks.runner.cases import group

A, B, C = group(1), group(2), group(3)  # of two cases each
ONE = group(4, methods=("symadj",))


def test_nothing_left_takes_no_time():
    assert remaining_seconds([(A, 5.0)], [], {}) == 0.0


def test_nothing_known_is_said():
    assert math.isnan(remaining_seconds([], [A], {}))


def test_what_an_earlier_run_took():
    assert remaining_seconds([], [A, ONE], {title(A): 3.0, title(ONE): 5.0}) == 2 * 3 + 5


def test_this_runs_pace_counts():
    # A took 12 s, and 6 s in an earlier run: this machine is twice as slow today
    assert remaining_seconds([(A, 12.0)], [B], {title(A): 3.0, title(B): 4.0}) == 2 * 2 * 4


def test_the_unknown_takes_the_mean_of_the_known():
    assert remaining_seconds([(A, 6.0), (B, 2.0)], [C, ONE], {}) == 2.0 * 2 + 2.0
