"""The dial: what our method costs at each setting of its checkpoints, and who lies under the curve.

The curve joins, on logarithmic axes of time and memory, the settings that no other setting beats in
both. A method is held against it by its medians, and by the ends of the intervals of the times: if
these do not agree on whether it lies under the curve, nothing is claimed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from reports.labels import OWN_METHODS
from reports.summaries import Estimate, Row, Summary
from reports.sweeps import Sweep, sweeps

AXIS = "checkpoints"

UNDER = "under it"
UNDECIDED = "not told apart"
FASTER = "faster, heavier"
LIGHTER = "lighter, slower"
OVER = "over it"

Spot = tuple[float, float]  # time, memory


@dataclass(frozen=True)
class Dial:
    """The settings of our method on one configuration, and the other methods beside them.

    Attributes
    ----------
    sweep : Sweep
        What it is made from.
    settings : tuple of Row
        Our method, from few checkpoints to many; those that were not run too.
    others : tuple of Row
        Every other method.
    is_relative : bool
        Whether times and memory are ratios to the base's; without a base they are absolute.
    """

    sweep: Sweep
    settings: tuple[Row, ...]
    others: tuple[Row, ...]
    is_relative: bool

    def time(self, row: Row) -> Estimate | None:
        """Time of a row, if it was measured."""
        estimate = row.time_ratio if self.is_relative else row.seconds
        return estimate if estimate is not None and _is_positive(estimate.value) else None

    def memory(self, row: Row) -> float | None:
        """Peak memory of a row, if it was measured."""
        memory = row.memory_ratio if self.is_relative else row.peak_bytes
        return memory if memory is not None and _is_positive(memory) else None

    def is_measured(self, row: Row) -> bool:
        """Whether a row has both."""
        return self.time(row) is not None and self.memory(row) is not None

    @cached_property
    def curve(self) -> tuple[Row, ...]:
        """Settings that no other setting beats in both time and memory, the fastest first."""
        return tuple(row for row, _ in _efficient(self._spots("value")))

    @cached_property
    def beaten(self) -> tuple[Row, ...]:
        """Measured settings that another setting beats."""
        return tuple(r for r in self.settings if self.is_measured(r) and r not in self.curve)

    @cached_property
    def judged(self) -> tuple[Row, ...]:
        """Other methods that are exact and were measured."""
        return tuple(row for row in self.others if row.look.is_exact and self.is_measured(row))

    def standing(self, row: Row) -> str:
        """Where a method that was measured stands: one of the constants of this module."""
        found = [
            _stand(
                [spot for _, spot in _efficient(self._spots(ours))],
                self._spot(row, theirs) or (0.0, 0.0),
            )
            # The medians; then each side's times as the interval allows in its favour.
            for ours, theirs in (("value", "value"), ("high", "low"), ("low", "high"))
        ]
        is_open = UNDER in found and set(found) != {UNDER}
        return UNDECIDED if is_open else found[0]

    def neighbours(self, row: Row) -> tuple[Row, ...]:
        """Settings of the curve between whose times a row's lies; one at the curve's ends."""
        time = self._time_at(row, "value")
        for left, right in pairwise(self.curve):
            if self._time_at(left, "value") <= time <= self._time_at(right, "value"):
                return left, right
        is_before = time < self._time_at(self.curve[0], "value")
        return (self.curve[0] if is_before else self.curve[-1],)

    def _time_at(self, row: Row, end: str) -> float:
        estimate = self.time(row)
        if estimate is None:
            return math.nan
        value = getattr(estimate, end)
        return estimate.value if value is None or not _is_positive(value) else float(value)

    def _spot(self, row: Row, end: str) -> Spot | None:
        memory = self.memory(row)
        if memory is None or self.time(row) is None:
            return None
        return self._time_at(row, end), memory

    def _spots(self, end: str) -> list[tuple[Row, Spot]]:
        return [(row, spot) for row in self.settings if (spot := self._spot(row, end))]


def dials(summary: Summary) -> tuple[Dial, ...]:
    """Every configuration on which at least two settings were measured."""
    found = (dial_of(sweep) for sweep in sweeps(summary, AXIS))
    return tuple(dial for dial in found if dial is not None)


def dial_of(sweep: Sweep) -> Dial | None:
    """Make the dial of a sweep over checkpoints; None if fewer than two settings were measured."""
    rows = [row for _, row in sweep.rows]
    settings = tuple(row for row in rows if row.method == OWN_METHODS[0])
    others = tuple(row for row in (*rows, *sweep.levels) if row.method not in OWN_METHODS)
    run = [row for row in (*settings, *others) if row.seconds is not None]
    is_relative = all(row.time_ratio and row.memory_ratio for row in run)
    dial = Dial(sweep, settings, others, is_relative)
    return dial if len(dial.curve) + len(dial.beaten) > 1 else None


def _is_positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _efficient(spots: list[tuple[Row, Spot]]) -> list[tuple[Row, Spot]]:
    """Drop what another one beats in one of time and memory, and is no worse in the other.

    What is left is in the order of time, the fastest first.
    """
    everything = [spot for _, spot in spots]
    left = [
        (row, spot)
        for row, spot in spots
        if not any(a <= spot[0] and b <= spot[1] and (a, b) != spot for a, b in everything)
    ]
    return sorted(left, key=lambda item: item[1])


def _stand(curve: Sequence[Spot], spot: Spot) -> str:
    """Place a spot against a curve whose times rise and whose memory falls."""
    time, memory = spot
    fastest, lightest = curve[0], curve[-1]
    if time < fastest[0]:
        return UNDER if memory <= fastest[1] else FASTER
    if time > lightest[0]:
        return LIGHTER if memory < lightest[1] else OVER
    for left, right in pairwise(curve):
        if time <= right[0]:
            share = math.log(time / left[0]) / math.log(right[0] / left[0])
            bound = left[1] * (right[1] / left[1]) ** share
            return UNDER if memory < bound else OVER
    return UNDER if memory < lightest[1] else OVER
