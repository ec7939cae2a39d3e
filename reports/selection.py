"""Which runs are shown: the newest of each machine and tool that is more than a part of the cases.

Runs are never merged.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from reports.records import Commit, Run

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


def select(
    runs: Iterable[Run], commits: Mapping[str, Commit] = MappingProxyType({})
) -> tuple[Shown, ...]:
    """Pick the newest run of each machine and tool.

    Parameters
    ----------
    runs : iterable of Run
        In the order in which folders and files were named.
    commits : mapping of str to Commit
        Those that the repository knows, by hash.

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
        group.sort(key=_age(group, commits), reverse=True)
        most = max(len(run.measurements) for run in group)
        run = next(run for run in group if 2 * len(run.measurements) >= most)
        shown.append(Shown(run, tuple(other for other in group if other is not run)))
    return tuple(sorted(shown, key=lambda item: item.run.tool))


def _age(
    group: Iterable[Run], commits: Mapping[str, Commit]
) -> Callable[[Run], tuple[object, ...]]:
    """Return a key that sorts by the commit, then by when it was measured, then by file.

    A commit is newer than those that it is made upon, whatever the dates say: those of a series
    that was rebased are the same, and clocks differ. What git does not know has only its date.
    """
    dates = {run.commit: run.date for run in group if run.date and run.commit in commits}
    latest, newest = {}, _EPOCH
    for commit in sorted(dates, key=lambda name: commits[name].place):
        latest[commit] = newest = max(newest, dates[commit])

    def age(run: Run) -> tuple[object, ...]:
        if run.date is None or run.commit not in latest:
            return (run.date or _EPOCH, 0, run.measured or _EPOCH, run.file)
        place = commits[run.commit].place
        return (latest[run.commit], place, run.measured or _EPOCH, run.file)

    return age
