"""How often it errs to look after each launch, and to stop at the first look that decides.

By rounds of real comparisons without a change (``recorded_rounds.json``: for each work 40 launches
of 8 rounds, microseconds of each block in the order of `ORDER`), at a load of 3 to 8 on two cores.
A comparison's launches are drawn from them, as short as any, and the head's blocks made longer.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare.ratios import MIN_LAUNCHES, ORDER, Round, evaluate
from benchmarks.compare.seconds import MIN_ROUNDS_PER_LAUNCH
from benchmarks.compare.verdicts import Status, is_decided, needs_repeat, seconds_status

from .invented import SECONDS

RECORDED = json.loads(Path(__file__).with_name("recorded_rounds.json").read_text(encoding="ascii"))
LAUNCHES = {work: np.array(launches) * 1e-6 for work, launches in RECORDED.items()}
MOST_LAUNCHES = 12
NUM_COMPARISONS = 20


def measured(launches, ratio, generator):
    """Launch until it is decided; return what is known then."""
    rounds = []
    for launch in range(1, MOST_LAUNCHES + 1):
        for own in launches[generator.integers(len(launches))][:MIN_ROUNDS_PER_LAUNCH]:
            slowed = [
                t * (ratio if name == "head" else 1) for name, t in zip(ORDER, own, strict=True)
            ]
            rounds.append(Round(launch, tuple((t, t, 0.0) for t in slowed)))
        if launch < MIN_LAUNCHES:
            continue  # too few, whatever they say
        timing = evaluate(rounds)
        if is_decided(timing, SECONDS):
            break
    return timing


def verdicts(work, ratio, noise=1.0):
    """Compare often; return how often what was said, and the mean number of launches."""
    generator = np.random.default_rng(0)
    launches = LAUNCHES[work]
    middle = np.median(launches)
    launches = middle * (launches / middle) ** noise
    said, num_launches = Counter(), []
    for _ in range(NUM_COMPARISONS):
        first = measured(launches, ratio, generator)
        second = measured(launches, ratio, generator) if needs_repeat(first, SECONDS) else None
        said[seconds_status(first, second, SECONDS)[0]] += 1
        num_launches.append(first.num_launches)
    return said, np.mean(num_launches)


@pytest.mark.parametrize("work", LAUNCHES)
def test_no_change_is_soon_decided_and_never_called_worse(work):
    said, num_launches = verdicts(work, 1.0)
    assert said[Status.WORSE] == 0
    assert said[Status.SAME] == NUM_COMPARISONS
    assert num_launches < MIN_LAUNCHES + 1


@pytest.mark.parametrize("work", LAUNCHES)
def test_three_per_cent_are_found_on_any_one_work(work):
    said, _ = verdicts(work, 1.03)
    assert said[Status.WORSE] >= 0.95 * NUM_COMPARISONS


def test_no_change_is_not_called_worse_where_the_noise_is_three_times_as_large():
    for work in LAUNCHES:
        said, _ = verdicts(work, 1.0, noise=3.0)
        assert said[Status.WORSE] == 0


def test_five_per_cent_are_found_where_the_noise_is_three_times_as_large():
    found = [verdicts(work, 1.05, noise=3.0)[0][Status.WORSE] for work in LAUNCHES]
    assert max(found) >= 0.95 * NUM_COMPARISONS
