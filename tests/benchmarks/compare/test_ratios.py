"""Seconds as ratios: found where there is a change, and not where there is none."""

import numpy as np
import pytest

from benchmarks.compare.ratios import ORDER, Round, evaluate
from benchmarks.compare.verdicts import Status, needs_repeat, seconds_status

from .invented import SECONDS, rounds


def verdict(ratio, seed, **how):
    generator = np.random.default_rng(seed)
    first, second = (evaluate(rounds(ratio, generator, **how)) for _ in range(2))
    repeated = second if needs_repeat(first, SECONDS) else None
    return seconds_status(first, repeated, SECONDS)[0]


def test_no_change_is_no_regression():
    assert Status.WORSE not in {verdict(1.0, seed) for seed in range(40)}


def test_five_per_cent_are_found():
    found = [verdict(1.05, seed) for seed in range(20)]
    assert found.count(Status.WORSE) >= 19


def test_five_per_cent_less_are_an_improvement():
    assert verdict(0.95, 0) is Status.BETTER


def test_what_is_too_noisy_is_not_told():
    assert verdict(1.0, 0, noise=1.0) is Status.UNKNOWN


def test_a_control_that_differs_is_not_trusted():
    generator = np.random.default_rng(0)
    slow = [
        Round(
            one.launch,
            tuple(
                tuple(1.1 * part for part in block) if name in {"control", "head"} else block
                for name, block in zip(ORDER, one.blocks, strict=True)
            ),
        )
        for one in rounds(1.0, generator)
    ]
    assert seconds_status(evaluate(slow), None, SECONDS)[0] is Status.UNKNOWN


@pytest.mark.parametrize("how", [{"launches": 4, "per_launch": 20}, {"per_launch": 2}])
def test_few_rounds_or_launches_are_not_enough(how):
    status, note = seconds_status(
        evaluate(rounds(1.2, np.random.default_rng(0), **how)), None, SECONDS
    )
    assert status is Status.UNKNOWN
    assert "too few" in note


def test_a_first_look_alone_fails_nobody():
    generator = np.random.default_rng(0)
    slow, same = (evaluate(rounds(ratio, generator)) for ratio in (1.1, 1.0))
    assert seconds_status(slow, None, SECONDS)[0] is Status.UNKNOWN
    assert seconds_status(slow, same, SECONDS)[0] is Status.SAME
    assert seconds_status(slow, slow, SECONDS)[0] is Status.WORSE


def test_a_drift_of_the_machine_favours_nobody():
    """Of 2 % a block: the one before is as much quicker as the one after is slower."""
    drift = [(1.0 + 0.02 * place,) * 2 + (0.0,) for place in range(len(ORDER))]
    timing = evaluate([Round(launch, tuple(drift)) for launch in range(50)])
    assert timing.ratio.estimate == pytest.approx(1.0, abs=0.001)


def test_shares_of_waiting_and_of_being_blocked():
    made = rounds(1.0, np.random.default_rng(0), blocked=0.03)
    timing = evaluate(made)
    assert timing.head_blocked_share == pytest.approx(0.03 / 1.03, rel=1e-6)
    assert timing.base_blocked_share == 0
    assert 0.3 < timing.waiting_share < 0.35


def test_disturbances_that_all_have_alike_favour_nobody():
    generator = np.random.default_rng(0)
    made = []
    for launch in range(50):
        for _ in range(40):
            own = 1 + generator.exponential(0.05, size=len(ORDER))
            made.append(Round(launch, tuple((each, each, 0.0) for each in own)))
    assert evaluate(made).ratio.estimate == pytest.approx(1.0, abs=0.003)
