"""Seconds as ratios: rounds of blocks that base and head run in turns, and what they tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ORDER = ("base", "head", "control", "control", "head", "base")
"""Who runs when in a round. The control is the base once more. The head runs between the two, and
the way back again: a machine that gets slower or faster favours nobody."""

HALF = len(ORDER) // 2
"""Blocks there, and as many back: each half is a ratio by itself. What disturbs one of them spares
the other, and the closer in time, the more alike are the speeds of the machine."""

MIN_ROUNDS = 25
MIN_LAUNCHES = 5
NUM_RESAMPLES = 1000
NUM_DRAWS = 300
CONFIDENCE = 0.90


@dataclass(frozen=True)
class Interval:
    """An estimated ratio and the interval that holds it with the confidence above."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as tables show it."""
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"

    @property
    def half_width(self) -> float:
        """How far the interval reaches to the farther side."""
        return max(self.high - self.estimate, self.estimate - self.low)


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes
    ----------
    launch : int
        Which set of processes ran it.
    blocks : tuple of (wall, own, blocked)
        Seconds of each block, in the order of `ORDER`; see `clock.Block`.
    """

    launch: int
    blocks: tuple[tuple[float, float, float], ...]

    def halves(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Return the seconds of each contestant there and back, waiting for a core taken out."""
        there, back = (
            {name: block[1] for name, block in zip(ORDER[part], self.blocks[part], strict=True)}
            for part in (slice(HALF), slice(HALF, None))
        )
        return there, back

    def blocked_share(self, name: str) -> float:
        """Return what of a contestant's seconds was spent off the processor."""
        own, blocked = (
            sum(
                block[column]
                for each, block in zip(ORDER, self.blocks, strict=True)
                if each == name
            )
            for column in (1, 2)
        )
        return blocked / own


@dataclass(frozen=True)
class Timing:
    """What the rounds of one work tell.

    Attributes
    ----------
    ratio : Interval
        Head over base.
    control : Interval
        Base over base, by the same rounds: how well a ratio of 1 is measured here and now.
    base_seconds, head_seconds : float
        Medians of one block; for orientation, not for comparison.
    base_blocked_share, head_blocked_share : float
        Of a block's seconds, those off the processor: medians over launches.
    waiting_share : float
        Of all wall seconds, those spent waiting for a core: how busy the machine is.
    num_rounds, num_launches : int
    """

    ratio: Interval
    control: Interval
    base_seconds: float
    head_seconds: float
    base_blocked_share: float
    head_blocked_share: float
    waiting_share: float
    num_rounds: int
    num_launches: int

    @property
    def has_enough(self) -> bool:
        """Whether there are rounds enough for an interval to mean something."""
        return self.num_rounds >= MIN_ROUNDS and self.num_launches >= MIN_LAUNCHES


def evaluate(rounds: Iterable[Round]) -> Timing | None:
    """Summarize rounds; None if there are none.

    The head is set against the block before and the block after, one by one. Against their mean it
    would look too fast on a busy machine, by 0.4 %: what disturbs a block makes it longer, never
    shorter, and a mean of two has the disturbances of both. One to one, those of equals are alike,
    and the median is 1.

    The interval is a bootstrap over launches, then over the half rounds of each: those of one set
    of processes have its peculiarities in common, so they are not independent.
    """
    launches: dict[int, list[Round]] = {}
    for one in rounds:
        launches.setdefault(one.launch, []).append(one)
    if not launches:
        return None
    own = {
        launch: [half for one in its_rounds for half in one.halves()]
        for launch, its_rounds in launches.items()
    }
    everyone = [seconds for its_halves in own.values() for seconds in its_halves]
    blocks = np.array([one.blocks for its_rounds in launches.values() for one in its_rounds])
    shares = {
        name: float(np.median([_blocked_share(its, name) for its in launches.values()]))
        for name in ("base", "head")
    }
    return Timing(
        ratio=_bootstrap(
            [
                np.array(
                    [[each["head"] / each[other] for other in ("base", "control")] for each in its]
                )
                for its in own.values()
            ]
        ),
        control=_bootstrap(
            [np.array([[each["control"] / each["base"]] for each in its]) for its in own.values()]
        ),
        base_seconds=float(np.median([each["base"] for each in everyone])),
        head_seconds=float(np.median([each["head"] for each in everyone])),
        base_blocked_share=shares["base"],
        head_blocked_share=shares["head"],
        waiting_share=float(1 - blocks[..., 1].sum() / blocks[..., 0].sum()),
        num_rounds=len(blocks),
        num_launches=len(launches),
    )


def _blocked_share(rounds: Sequence[Round], name: str) -> float:
    """Return the median over rounds: a page read from disk is one round's own affair."""
    return float(np.median([one.blocked_share(name) for one in rounds]))


def _bootstrap(launches: Sequence[NDArray[np.float64]]) -> Interval:
    """Return the median over all ratios, and percentiles of it over resamples.

    A resample draws launches, and of each as many half rounds, so that all of them weigh the same.

    Parameters
    ----------
    launches : sequence of array, shape (num_halves, num_ratios)
        The ratios of each half round of each launch.
    """
    generator = np.random.default_rng(seed=0)
    num_halves = max(1, round(np.mean([len(ratios) for ratios in launches])))
    drawn = np.stack(
        [
            ratios[generator.integers(len(ratios), size=(NUM_DRAWS, num_halves))]
            for ratios in launches
        ]
    )
    which = generator.integers(len(launches), size=(NUM_RESAMPLES, len(launches)))
    picked = drawn[which, generator.integers(NUM_DRAWS, size=which.shape)]
    estimates = np.median(picked.reshape(NUM_RESAMPLES, -1), axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(estimates, [tail, 1 - tail])
    return Interval(float(np.median(np.concatenate(launches))), float(low), float(high))
