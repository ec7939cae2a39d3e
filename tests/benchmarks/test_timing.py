import gc

import numpy as np
import pytest

from benchmarks.timing import Effort, interleaved_rounds, median_interval, settled_heap


def test_contestants_take_turns():
    order = []

    def contestant(name):
        def run():
            order.append(name)
            return (float(len(order)), 0.5)

        return run

    rounds = interleaved_rounds(
        {name: contestant(name) for name in "ABC"}, Effort(2, 2, seconds=0.0)
    )
    assert "".join(order) == "ABCABC"
    np.testing.assert_array_equal(rounds["B"], [[2.0, 0.5], [5.0, 0.5]])


def test_rounds_end_with_the_time_but_not_before_the_least_number():
    count = {"seconds": 0, "most": 0}

    def contestant(name):
        def run():
            count[name] += 1
            return (0.0,)

        return run

    interleaved_rounds({0: contestant("seconds")}, Effort(3, 1000, seconds=0.0))
    interleaved_rounds({0: contestant("most")}, Effort(1, 4, seconds=60.0))
    assert count == {"seconds": 3, "most": 4}


def test_a_failing_contestant_is_out_and_the_others_go_on():
    calls = []

    def failing():
        calls.append(1)
        raise RuntimeError("out of memory")

    rounds = interleaved_rounds({"bad": failing, "good": lambda: (1.0,)}, Effort(3, 3, 0.0))
    assert len(calls) == 1
    assert isinstance(rounds["bad"], RuntimeError)
    assert rounds["good"].shape == (3, 1)
    assert gc.isenabled()


def test_the_collector_is_off_while_the_clock_runs():
    seen = []

    def contestant():
        seen.append(gc.isenabled())
        return (0.0,)

    interleaved_rounds({0: contestant}, Effort(1, 1, 0.0))
    assert seen == [False]


def test_settled_heap_lets_everything_go_again():
    before = gc.get_freeze_count()
    with settled_heap():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


def test_interval_of_equal_samples_is_a_point():
    assert median_interval(np.full(7, 1.5)) == (1.5, 1.5, 1.5)


def test_interval_covers_the_median_95_times_in_100():
    generator = np.random.default_rng(seed=1)
    covered = 0
    for _ in range(200):
        median, low, high = median_interval(generator.lognormal(size=25))
        assert low <= median <= high
        covered += low <= 1.0 <= high
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
