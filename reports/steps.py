"""Where an exact meter changed from one commit to the next, and which commit made it so.

Exact meters repeat, so a change is a change: no statistics, and one commit afterwards is enough.
Seconds of different runs are not comparable, and have no steps here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from reports.records import Case, Run
from reports.tolerances import Threshold

_NEVER = datetime.fromtimestamp(0, UTC)
_OWN_PACKAGES = frozenset({"symadj"})


@dataclass(frozen=True)
class Step:
    """One change of one series.

    Attributes
    ----------
    machine : str
        Where it was measured; a series never mixes machines, or versions of what is not measured.
    case : Case
    meter : str
    commit : str
        The first that has the new value.
    previous : str
        The last that had the old one. Commits between the two were not measured: the change is
        one of them, or ``commit``.
    date : datetime
        Of ``commit``.
    before, after : float
    is_worse : bool
    """

    machine: str
    case: Case
    meter: str
    commit: str
    previous: str
    date: datetime
    before: float
    after: float
    is_worse: bool


def find_steps(runs: Iterable[Run], thresholds: Mapping[str, Threshold]) -> tuple[Step, ...]:
    """Find every step, oldest first.

    Parameters
    ----------
    runs : iterable of Run
        Those without a date, and those of a tree with changes, belong to no commit and are passed
        over. Of several runs of one commit the last one measured counts.
    thresholds : mapping from meter to Threshold
        Meters without one, or whose threshold is a ratio's, are not looked at. See
        `reports.tolerances.read_thresholds`.
    """
    exact = {meter: each for meter, each in thresholds.items() if each.is_exact}
    steps = [step for series in _series(runs).values() for step in _steps_of_series(series, exact)]
    return tuple(sorted(steps, key=lambda step: (step.date, step.machine)))


def _series(runs: Iterable[Run]) -> dict[tuple[object, ...], list[Run]]:
    """Group runs that may be compared, one a commit, by the commit's date."""
    groups: dict[tuple[object, ...], dict[str, Run]] = {}
    for run in sorted(runs, key=lambda run: (run.measured or _NEVER, run.file)):
        if run.date is None or run.is_dirty:
            continue
        place = run.environment
        others = tuple(pair for pair in place.packages if pair[0] not in _OWN_PACKAGES)
        key = (place.machine, run.tool, place.python, others, place.num_threads)
        groups.setdefault(key, {})[run.commit] = run
    return {
        key: sorted(by_commit.values(), key=lambda run: (run.date or _NEVER, run.commit))
        for key, by_commit in groups.items()
    }


def _steps_of_series(runs: list[Run], exact: Mapping[str, Threshold]) -> Iterable[Step]:
    last: dict[tuple[Case, str], tuple[str, float]] = {}
    for run in runs:
        for measurement in run.measurements:
            for meter, value in measurement.values.items():
                threshold = exact.get(meter)
                if threshold is None or run.date is None:
                    continue
                key = (measurement.case, meter)
                previous, before = last.get(key, (run.commit, value))
                sign = threshold.compare(before, value)
                if sign:
                    yield Step(
                        run.environment.machine,
                        measurement.case,
                        meter,
                        run.commit,
                        previous,
                        run.date,
                        before,
                        value,
                        sign > 0,
                    )
                # Within the tolerance the old value stays the one to compare with, so that many
                # small changes in one direction add up to a step.
                last[key] = (run.commit, value if sign or key not in last else before)
