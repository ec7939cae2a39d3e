"""Comparisons of a copy of symadj with a copy that has a fault."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reports.tolerances import Threshold

from ..builds import Build
from ..events import INSTRUCTIONS
from ..journal import Journal, open_journal
from ..launcher import Launcher
from ..measurement import Contestants, clocked_launch, count_instructions, launchers_of, measure
from ..ratios import Round, evaluate
from ..sides import DEFAULT_METHOD
from ..verdicts import (
    SECONDS,
    Row,
    Status,
    judge,
    needs_repeat,
    rounds_of,
    seconds_status,
)
from ..work import WORKS, Work, select

LAUNCHES = 8
"""Launches of one measurement of seconds: what a comparison of 300 s has time for."""

COUNT_SECONDS = 1200.0


@dataclass(frozen=True)
class Laboratory:
    """Where experiments are made.

    Attributes
    ----------
    folder : Path
        For journals.
    thresholds : mapping from metric to Threshold
    """

    folder: Path
    thresholds: Mapping[str, Threshold]

    def journal_header(self, name: str, works: Sequence[Work]) -> dict[str, object]:
        """Return a header that no other experiment has."""
        names = [work.name for work in works]
        return {"base": {"label": "no fault"}, "head": {"label": name}, "works": names}


def contestants(base: Path, head: Path) -> Contestants:
    """Return two folders as the sides of a comparison."""
    sides = {"base": base, "head": head}
    builds = {side: Build(sys.executable, (str(path),), "symadj") for side, path in sides.items()}
    return Contestants(builds, dict.fromkeys(sides, DEFAULT_METHOD))


def exact_rows(
    laboratory: Laboratory,
    name: str,
    sides: Contestants,
    works: Sequence[Work],
    launchers: Mapping[str, Launcher],
) -> list[Row]:
    """Compare exact metrics, anew: in workers of their own."""
    with open_journal(laboratory.folder, laboratory.journal_header(name, works)) as journal:
        measure(sides, works, journal, laboratory.thresholds, 0.0, launchers)
        journal.add("done")
        return judge(journal, laboratory.thresholds, ())


def record_launches(
    laboratory: Laboratory, name: str, sides: Contestants, work: Work, num_launches: int
) -> Journal:
    """Time a pair, many launches one after the other."""
    with (
        open_journal(laboratory.folder, laboratory.journal_header(name, [work])) as journal,
        launchers_of(sides, Launcher) as launchers,
    ):
        for launch in range(1, num_launches + 1):
            print(f"{name}: launch {launch} of {num_launches}", file=sys.stderr, flush=True)
            clocked_launch(sides, work, journal, launchers, (1, launch, time.monotonic() + 60))
        journal.add("done")
        return journal


def instruction_rows(
    laboratory: Laboratory, name: str, sides: Contestants, launchers: Mapping[str, Launcher]
) -> list[Row]:
    """Compare instructions."""
    works = [work for work in WORKS if work.is_counted]
    with open_journal(laboratory.folder, laboratory.journal_header(name, works)) as journal:
        for work in works:
            for side in ("base", "head"):  # nothing is counted of what does not run
                journal.add("exact", work=work.name, side=side, values={})
        limit = time.monotonic() + COUNT_SECONDS
        count_instructions(sides, works, journal, launchers, limit)
        journal.add("done")
        return [
            row for row in judge(journal, laboratory.thresholds, ()) if row.metric == INSTRUCTIONS
        ]


def resampled_verdicts(
    journal: Journal, work: Work, threshold: Threshold, num_comparisons: int, seed: int = 0
) -> list[Status]:
    """Judge comparisons put together from recorded launches.

    Each draws the launches of its two measurements from those recorded, none twice. As the
    launches are the same for all comparisons, these are not independent: with forty launches,
    take a rate near 0 or 1 for what it is.
    """
    launches: dict[int, list[Round]] = {}
    for one in rounds_of(journal, work.name, 1):
        launches.setdefault(one.launch, []).append(one)
    generator = np.random.default_rng(seed)
    verdicts = []
    for _ in range(num_comparisons):
        drawn = generator.permutation(list(launches))[: 2 * LAUNCHES]
        first, second = (
            evaluate(itertools.chain.from_iterable(launches[launch] for launch in half))
            for half in (drawn[:LAUNCHES], drawn[LAUNCHES:])
        )
        if first is None:
            raise ValueError("no launch was recorded")
        repeated = second if needs_repeat(first, threshold) else None
        verdicts.append(seconds_status(first, repeated, threshold)[0])
    return verdicts


def timed_work() -> Work:
    """Return the work whose seconds are recorded."""
    return select(WORKS, "mlp-size/dopri5/2-50-2")[0]


def seconds_threshold(laboratory: Laboratory) -> Threshold:
    """Return the threshold of seconds."""
    return laboratory.thresholds[SECONDS]
