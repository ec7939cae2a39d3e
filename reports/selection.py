"""Which runs are shown: the newest of each machine and tool that is more than a part of the cases.

Runs are never merged.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from reports.records import Run

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Shown:
    """A run that is shown, and the older ones of the same machine and tool that are not.

    Attributes
    ----------
    run : Run
        The newest that measured at least half as many cases as the largest: who measures a single
        suite again does not want the others to vanish.
    others : tuple of Run
        The others, newest first.
    """

    run: Run
    others: tuple[Run, ...] = ()


def select(runs: Iterable[Run]) -> tuple[Shown, ...]:
    """Pick the newest run of each machine and tool.

    Parameters
    ----------
    runs : iterable of Run
        In the order in which folders and files were named.

    Returns
    -------
    tuple of Shown
        In the order of first appearance, asv before pytest-benchmark. Runs without a measurement
        are passed over.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.measurements:
            groups.setdefault((run.environment.machine, run.tool), []).append(run)
    shown = []
    for group in groups.values():
        group.sort(key=_age, reverse=True)
        most = max(len(run.measurements) for run in group)
        run = next(run for run in group if 2 * len(run.measurements) >= most)
        shown.append(Shown(run, tuple(other for other in group if other is not run)))
    return tuple(sorted(shown, key=lambda item: item.run.tool))


def _age(run: Run) -> tuple[datetime, datetime, str]:
    """Key that sorts by the commit's date, then by when it was measured, then by file."""
    return (run.date or _EPOCH, run.measured or _EPOCH, run.file)
