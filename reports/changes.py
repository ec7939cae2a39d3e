"""What moved between two runs of one machine, and where a series steps.

Three kinds of meters, three rules. Counts repeat exactly: any difference is a change. Bytes and
errors repeat nearly: a difference beyond a margin is one. Time ratios are medians of pairs that
took turns, with an interval: they differ if the intervals lie apart, by more than a margin. Seconds
of two runs do not compare at all, and are never judged.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reports.records import Case, Commit, Measurement, Run

MORE, LESS, SAME, UNDECIDED = "more", "less", "same", "not told apart"

_COUNTS = (
    "nfe_forward",
    "nfe_backward",
    "nvjp",
    "num_accepted",
    "num_rejected",
    "num_replayed_steps",
)
_BYTES = (0.004, 2048.0)  # Python's own objects are in them: a longer function moves them
# By how much more of itself, and more in its unit, the larger of two values may be no change.
_MARGINS: dict[str, tuple[float, float]] = {
    "wall_ratio": (0.05, 0.0),
    "peak_cpu_bytes": _BYTES,
    "peak_gpu_bytes": _BYTES,
    "relative_gradient_error": (0.5, 0.0),
    "relative_step_gradient_error": (2.2, 0.0),  # half a digit: rounding follows the order of sums
    "num_operations": (0.005, 2.0),
    **dict.fromkeys(_COUNTS, (0.0, 0.0)),
}
JUDGED = tuple(_MARGINS)
_BOUNDS = {"wall_ratio": ("wall_ratio_low", "wall_ratio_high")}


@dataclass(frozen=True)
class Change:
    """One meter of one case in two runs.

    Attributes
    ----------
    case : Case
        The case.
    meter : str
        The meter, or "" where the case failed in one run, or in both.
    before, after : Measurement
        Of the earlier and the later run.
    verdict : str
        `MORE`, `LESS`, `SAME` or `UNDECIDED`; less is better.
    """

    case: Case
    meter: str
    before: Measurement
    after: Measurement
    verdict: str

    @property
    def ratio(self) -> float:
        """Later value over the earlier one."""
        old, new = self.before.values[self.meter], self.after.values[self.meter]
        return new / old if old else math.inf


def changes(before: Run, after: Run) -> tuple[Change, ...]:
    """Judge every meter that both runs have, and that can be judged; the largest changes first."""
    known = {item.case: item for item in before.measurements}
    pairs = [(known[item.case], item) for item in after.measurements if item.case in known]
    found = [
        Change(new.case, meter, old, new, judge(meter, old, new))
        for old, new in pairs
        for meter in JUDGED
        if meter in old.values and meter in new.values
    ]
    return tuple(sorted(found, key=lambda item: -_size(item)))


def _size(change: Change) -> float:
    if change.verdict == SAME:
        return -1.0
    ratio = change.ratio
    return abs(math.log(ratio)) if math.isfinite(ratio) and ratio > 0 else math.inf


def broken(before: Run, after: Run) -> tuple[Measurement, ...]:
    """Measurements of the later run with a failure that the earlier one did not have."""
    known = {item.case: item.failed for item in before.measurements}
    return tuple(m for m in after.measurements if m.failed - known.get(m.case, m.failed))


def judge(meter: str, before: Measurement, after: Measurement) -> str:
    """Tell whether a meter has moved between two measurements of one case that have it."""
    old, new = before.values[meter], after.values[meter]
    if old == new:
        return SAME
    low, high = sorted((old, new))
    relative, absolute = _MARGINS[meter]
    if high <= low * (1 + relative) + absolute:
        return SAME
    if meter in _BOUNDS:
        earlier, later = (_interval(meter, item) for item in (before, after))
        if earlier is None or later is None:
            return UNDECIDED  # one sample each: nothing tells a change from noise
        if earlier[0] <= later[1] and later[0] <= earlier[1]:
            return UNDECIDED
    return MORE if new > old else LESS


def _interval(meter: str, item: Measurement) -> tuple[float, float] | None:
    low, high = (item.values.get(name) for name in _BOUNDS[meter])
    if low is None or high is None or low == high:
        return None
    return low, high


@dataclass(frozen=True)
class Track:
    """One meter of one case over the runs of a machine.

    Attributes
    ----------
    case : Case
        The case.
    meter : str
        The meter.
    points : tuple of (int, Measurement)
        Number of each run that has it, the oldest first, and its measurement.
    steps : tuple of int
        Positions in `points` at which the value has left that of the points before.
    """

    case: Case
    meter: str
    points: tuple[tuple[int, Measurement], ...]
    steps: tuple[int, ...]

    @property
    def values(self) -> list[float]:
        """Values, the oldest first."""
        return [item.values[self.meter] for _, item in self.points]

    def verdict(self, step: int) -> str:
        """`MORE` or `LESS`: which way a step goes."""
        return MORE if self.values[step] > self.values[step - 1] else LESS


def tracks(runs: Sequence[Run], meters: Sequence[str] = JUDGED) -> Iterator[Track]:
    """Follow every case through the runs, given the oldest first."""
    by_case: dict[Case, list[tuple[int, Measurement]]] = {}
    for number, run in enumerate(runs):
        for item in run.measurements:
            by_case.setdefault(item.case, []).append((number, item))
    for case, found in by_case.items():
        for meter in meters:
            points = tuple(point for point in found if meter in point[1].values)
            if points:
                steps = _steps(meter, points) if meter in _MARGINS else ()
                yield Track(case, meter, points, tuple(steps))


def _steps(meter: str, points: Sequence[tuple[int, Measurement]]) -> Iterator[int]:
    """Compare with the first point since the last step, so that a slow drift is seen too."""
    reference = points[0][1]
    for place, (_, item) in enumerate(points):
        if item.values[meter] == reference.values[meter]:
            continue
        if judge(meter, reference, item) in {MORE, LESS}:
            reference = item
            yield place


@dataclass(frozen=True)
class Previous:
    """The run that a newer one is compared with, and why that one."""

    run: Run
    name: str


def previous(run: Run, older: Iterable[Run], commits: dict[str, Commit]) -> Previous | None:
    """Find what to compare a run with: the last release, else version, else commit.

    Parameters
    ----------
    run : Run
        The newest.
    older : iterable of Run
        Other runs of the machine, the newest first.
    commits : dict of str to Commit
        Tags, by hash.
    """
    others = [item for item in older if item.commit != run.commit]
    for item in others:
        tags = commits[item.commit].tags if item.commit in commits else ()
        if tags:
            return Previous(item, f"release {tags[-1]}")
    for item in others:
        if item.version and run.version and item.version != run.version:
            return Previous(item, f"version {item.version}")
    if others:
        return Previous(others[0], f"commit {others[0].commit[:8]}, the one measured before")
    return None
