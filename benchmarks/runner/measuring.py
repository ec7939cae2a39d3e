"""The loop of a run: every group that the journal lacks is measured and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..cases import Case
from ..groups import Group, title
from ..measure import Failure, Outcome
from .conditions import Conditions
from .journal import (
    Entry,
    earlier_seconds,
    read_entry,
    remove_unfinished,
    write_entry,
    write_json,
)
from .remaining import Timed, remaining_seconds, spoken

Say = Callable[[str], None]
Measure = Callable[[Group], dict[Case, Outcome]]


@dataclass
class Progress:
    """What is measured, what is left, and how long the rest may take.

    Attributes
    ----------
    there : list of (group, seconds)
        Measured before, and not again.
    left : list of group
        To be measured.
    done : list of (group, seconds)
        Measured now.
    num_failed : int
        Cases that failed, whenever that was.
    """

    earlier: dict[str, float]
    there: list[Timed] = field(default_factory=list)
    left: list[Group] = field(default_factory=list)
    done: list[Timed] = field(default_factory=list)
    num_failed: int = 0

    def remaining(self) -> str:
        """Return the time left, as one would say it."""
        return spoken(remaining_seconds([*self.there, *self.done], self.left, self.earlier))


def survey(root: Path, folder: Path, groups: Sequence[Group], say: Say) -> Progress:
    """Look up which groups are measured, and say which files are damaged."""
    progress = Progress(earlier_seconds(root))
    for group in groups:
        entry, fault = read_entry(folder, group)
        if fault:
            say(f"damaged, so measured again: {title(group)} ({fault})")
        if entry is None:
            progress.left.append(group)
        else:
            seconds = entry.seconds * len(group) / len(entry.outcomes)
            progress.there.append((group, seconds))
            progress.num_failed += _num_failed({case: entry.outcomes[case] for case in group})
    return progress


def measure_rest(
    folder: Path,
    given: Conditions,
    progress: Progress,
    measure: Measure,
    refuse: Callable[[], None],
    say: Say,
) -> None:
    """Measure what is left, and keep each group at once. Only under the journal's lock.

    ``refuse`` raises if a group that was just measured is not to be kept.
    """
    remove_unfinished(folder)
    write_json(folder / "conditions.json", given)
    total = len(progress.there) + len(progress.left)
    while progress.left:
        group = progress.left[0]
        number = total - len(progress.left) + 1
        say(
            f"[{number:{len(str(total))}}/{total}] {title(group)}, {len(group)} cases; "
            f"about {progress.remaining()} left"
        )
        start = time.monotonic()
        outcomes = measure(group)
        seconds = time.monotonic() - start
        refuse()
        write_entry(folder, group, Entry(outcomes, seconds))
        progress.done.append((progress.left.pop(0), seconds))
        progress.num_failed += _num_failed(outcomes)
        for case, outcome in outcomes.items():
            if isinstance(outcome, Failure):
                last_line = outcome.traceback.strip().rpartition("\n")[2]
                say(f"    failed: {case.method}, checkpoints {case.checkpoints}: {last_line}")


def _num_failed(outcomes: dict[Case, Outcome]) -> int:
    return sum(isinstance(outcome, Failure) for outcome in outcomes.values())
