"""Measuring both sides: exact metrics, then seconds, and instructions beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from reports.tolerances import Threshold

from .contestants import Contestants, Launchers, say
from .instructions import CountingLauncher, is_available
from .journal import Journal
from .launcher import Launcher, Worker, WorkerError
from .seconds import clock_by_turns
from .verdicts import SECONDS
from .work import Work

SIDES = ("base", "head")


def measure(
    contestants: Contestants,
    works: Sequence[Work],
    journal: Journal,
    thresholds: Mapping[str, Threshold],
    seconds: float,
    launchers: Launchers | None = None,
) -> None:
    """Measure everything that the journal does not hold yet, and write it there.

    Parameters
    ----------
    contestants : Contestants
    works : sequence of Work
    journal : Journal
    thresholds : mapping from metric to Threshold
        Decide which seconds are worth a repetition.
    seconds : float
        How long this may take at the most, about; exact metrics are measured in any case.
    launchers : mapping from side to Launcher, optional
        Where workers are forked; started and ended here if they are not given.
    """
    deadline = time.monotonic() + seconds
    counted = [work for work in works if work.is_counted]
    with ExitStack() as stack:
        counters = None
        if counted and seconds > 0 and is_available():
            # It takes a minute to start: meanwhile the exact metrics are measured.
            counters = stack.enter_context(launchers_of(contestants, CountingLauncher))
        if launchers is None:
            launchers = stack.enter_context(launchers_of(contestants, Launcher))
        _check(contestants, launchers)
        _measure_exact(contestants, works, journal, launchers)
        timed = [work for work in works if work.is_timed and _runs(journal, work)]
        with _beside(
            counters, lambda given: _count(contestants, counted, journal, given, deadline)
        ):
            clock_by_turns(contestants, timed, journal, launchers, thresholds[SECONDS], deadline)


@contextmanager
def _beside(counters: Launchers | None, count: Callable[[Launchers], None]) -> Iterator[None]:
    """Count while something else is done: valgrind may still be starting, and takes its time.

    It burdens the clock no more than any other program of the machine does, and less long.
    """
    if counters is None:
        yield
        return
    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(count, counters)
        try:
            yield
        except BaseException:
            _close(counters)  # whoever counts finds nobody to ask any more
            raise
        counted.result()


@contextmanager
def launchers_of(
    contestants: Contestants, make: Callable[[str], Launcher]
) -> Iterator[dict[str, Launcher]]:
    """Start a launcher for each environment: one where both sides share it."""
    with ExitStack() as stack:
        by_python: dict[str, Launcher] = {}
        for build in contestants.builds.values():
            if build.python not in by_python:
                by_python[build.python] = stack.enter_context(make(build.python))
        yield {side: by_python[build.python] for side, build in contestants.builds.items()}


def _count(
    contestants: Contestants,
    works: Sequence[Work],
    journal: Journal,
    counters: Launchers,
    limit: float,
) -> None:
    """Count, and end the launchers: they would burden the clock."""
    try:
        count_instructions(contestants, works, journal, counters, limit)
    finally:
        _close(counters)


def _close(launchers: Launchers) -> None:
    for launcher in set(launchers.values()):
        launcher.close()


@contextmanager
def _worker(
    contestants: Contestants, launchers: Launchers, side: str, seed: int | None = None
) -> Iterator[Worker]:
    with launchers[side].worker({side: contestants.builds[side].paths}, seed) as worker:
        yield worker


def _check(contestants: Contestants, launchers: Launchers) -> None:
    """Make sure that each side is imported from its own build.

    Raises
    ------
    BuildError, WorkerError
    """
    for side, build in contestants.builds.items():
        with _worker(contestants, launchers, side) as worker:
            build.check(worker.origins[side])


def _runs(journal: Journal, work: Work) -> bool:
    """Whether both sides can do a work."""
    done = [record for record in journal.of("exact", work=work.name) if "values" in record]
    return {record["side"] for record in done} == {"base", "head"}


def _on_both_sides(measure_side: Callable[[str], None]) -> None:
    """Have both sides measured at once: nothing of it depends on how busy the machine is."""
    with ThreadPoolExecutor(len(SIDES)) as pool:
        for _ in pool.map(measure_side, SIDES):
            pass


def _measure_exact(
    contestants: Contestants, works: Sequence[Work], journal: Journal, launchers: Launchers
) -> None:
    def measure_side(side: str) -> None:
        missing = [
            work for work in works if not any(journal.of("exact", work=work.name, side=side))
        ]
        if not missing:
            return
        # One seed: what is allocated before is the same for both sides.
        with _worker(contestants, launchers, side, seed=0) as worker:
            for place, work in enumerate(missing, start=1):
                say(f"exact metrics of the {side}, {place}/{len(missing)}: {work.name}")
                request: dict[str, Any] = {"do": "exact", "work": contestants.plain(work, side)}
                try:
                    values = worker.ask(**request, is_isolated=True)
                    journal.add("exact", work=work.name, side=side, values=values)
                except WorkerError as error:
                    journal.add("exact", work=work.name, side=side, failure=str(error))

    _on_both_sides(measure_side)


def count_instructions(
    contestants: Contestants,
    works: Sequence[Work],
    journal: Journal,
    counters: Launchers,
    limit: float,
) -> None:
    """Count the instructions of each work once on each side: they repeat."""

    def count_side(side: str) -> None:
        missing = [
            work
            for work in works
            if _runs(journal, work)
            and not any(journal.of("instructions", work=work.name, side=side))
        ]
        if not missing:
            return
        launcher = counters[side]
        try:
            with _worker(contestants, counters, side, seed=0) as worker:
                for work in missing:
                    say(f"{work.name}: instructions of the {side}")
                    events = worker.ask(
                        timeout_seconds=max(limit - time.monotonic(), 1.0),
                        do="count",
                        work=contestants.plain(work, side),
                        dumps=getattr(launcher, "dumps", ""),
                    )
                    journal.add("instructions", work=work.name, side=side, values=events)
        except WorkerError as error:  # what was counted before stays
            journal.add("note", text=f"instructions of the {side}: {error}")

    try:
        for launcher in set(counters.values()):
            launcher.wait(limit - time.monotonic())
    except WorkerError as error:
        journal.add("note", text=f"instructions: {error}")
        return
    _on_both_sides(count_side)
