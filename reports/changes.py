"""What moved between two runs of one machine, and where a series steps.

What repeats exactly, or nearly, is judged by the thresholds that versions are compared by. Time
ratios are medians of pairs that
took turns, with an interval: they differ if the intervals lie apart, by more than a margin. Seconds
of two runs do not compare at all, and are never judged.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.formats import format_bytes
from reports.records import Case, Commit, Measurement, Run
from reports.tolerances import read_thresholds

MORE, LESS, SAME, UNDECIDED = "more", "less", "same", "not told apart"

_THRESHOLDS = {
    meter: threshold
    for meter, threshold in read_thresholds(
        Path(__file__).parent.parent / "benchmarks/compare/thresholds.toml"
    ).items()
    if threshold.is_exact
}
# Time ratios are medians of pairs: apart by more than this, and with intervals that lie apart.
_LEAST_RATIO = 1.05
# The solver's own error, which no method removes, moves with every change of the steps.
_LEAST_ERROR_RATIO = 1.5
_FIRST = ("wall_ratio", "relative_gradient_error")
JUDGED = (*_FIRST, "peak_gpu_bytes", *_THRESHOLDS)
_BOUNDS = {"wall_ratio": ("wall_ratio_low", "wall_ratio_high")}


def bytes_margin() -> str:
    """Return by how much a peak may move without being told, in words."""
    numbers = _THRESHOLDS["peak_cpu_bytes"].numbers
    return f"{100 * numbers['relative']:g} % and {format_bytes(numbers['absolute'])}"


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
    threshold = _THRESHOLDS.get("peak_cpu_bytes" if meter == "peak_gpu_bytes" else meter)
    if threshold is not None:
        return (SAME, MORE, LESS)[threshold.compare(old, new)]
    low, high = sorted((old, new))
    least = _LEAST_RATIO if meter in _BOUNDS else _LEAST_ERROR_RATIO
    if high <= least * low:
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
    around = [surroundings(run) for run in runs]
    known = _of_commits(runs)
    by_case: dict[Case, list[tuple[int, Measurement]]] = {}
    for number, run in enumerate(runs):
        for item in run.measurements:
            by_case.setdefault(item.case, []).append((number, item))
    for case, found in by_case.items():
        for meter in meters:
            points = tuple(point for point in found if meter in point[1].values)
            if points:
                steps = _steps(meter, points, around, known) if meter in JUDGED else ()
                yield Track(case, meter, points, tuple(steps))


def surroundings(run: Run) -> dict[str, str]:
    """Versions and threads of what is not measured: where these differ, not only symadj does."""
    place = run.environment
    found = {name: version for name, version in place.packages if name != "symadj"}
    return found | {"Python": str(place.python), "threads": str(place.num_threads)}


def _of_commits(runs: Sequence[Run]) -> frozenset[int]:
    """Numbers of the runs that a step can be told of: of each commit the last one.

    What was measured in a tree with changes, or has no date, belongs to no commit.
    """
    last = {run.commit: number for number, run in enumerate(runs) if run.date and not run.is_dirty}
    return frozenset(last.values())


def _steps(
    meter: str,
    points: Sequence[tuple[int, Measurement]],
    around: Sequence[dict[str, str]],
    known: frozenset[int],
) -> Iterator[int]:
    """Compare with the first point since the last step, so that a slow drift is seen too.

    Where another version of anything else is used, the series begins anew.
    """
    first: int | None = None
    reference = points[0][1]
    for place, (number, item) in enumerate(points):
        if number not in known:
            continue
        if first is None or around[number] != around[first]:
            first, reference = number, item
            continue
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
