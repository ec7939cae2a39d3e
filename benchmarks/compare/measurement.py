"""Measuring both sides: exact metrics, then instructions, then seconds for as long as wanted."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from reports.tolerances import Threshold

from .builds import Build
from .instructions import CountingLauncher, is_available
from .journal import Journal
from .launcher import Launcher, Worker, WorkerError
from .ratios import ORDER, Timing, evaluate
from .verdicts import SECONDS, needs_repeat, rounds_of
from .work import Work, to_plain

BLOCK_SECONDS = 0.01
LAUNCH_SECONDS = 3.0
MIN_ROUNDS_PER_LAUNCH = 8
NARROW = 0.006
"""Half-width of the interval at which seconds need not be measured any longer."""

MAX_SHARE_OF_INSTRUCTIONS = 0.6
"""Of the time that is left after the exact metrics, what counting may take, waiting included."""

ASK_SECONDS = 0.5
"""Of rounds that a worker runs before it hands them over, to be written down."""

SIDES = ("base", "head")

Launchers = Mapping[str, Launcher]


@dataclass(frozen=True)
class Contestants:
    """Both sides, built, and the method that each of them runs."""

    builds: Mapping[str, Build]
    methods: Mapping[str, str]

    def plain(self, work: Work, side: str) -> dict[str, object]:
        """Return a work as this side does it, for a worker."""
        return to_plain(work.by(self.methods[side]))


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
        How long this may take, about; exact metrics are measured in any case.
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
        for place, work in enumerate(timed):
            # Valgrind may still be starting: the first seconds are then measured meanwhile.
            if counters is not None and (place == 1 or _have_started(counters)):
                now = time.monotonic()
                limit = now + MAX_SHARE_OF_INSTRUCTIONS * (deadline - now)
                _count_now(contestants, counted, journal, counters, limit)
                counters = None
            # Half for the first measurement; a repetition, where it is needed, takes as long.
            share = (deadline - time.monotonic()) / (len(timed) - place) / 2
            limit = time.monotonic() + share
            _time(contestants, work, journal, launchers, (1, limit))
            first = evaluate(rounds_of(journal, work.name, 1))
            if first is not None and needs_repeat(first, thresholds[SECONDS]):
                _time(contestants, work, journal, launchers, (2, time.monotonic() + share))
        if counters is not None:
            _count_now(contestants, counted, journal, counters, deadline)


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


def _have_started(counters: Launchers) -> bool:
    return all(launcher.has_answered() for launcher in set(counters.values()))


def _count_now(
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
        for launcher in set(counters.values()):
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
                _progress(f"exact metrics of the {side}, {place}/{len(missing)}: {work.name}")
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
                    _progress(f"{work.name}: instructions of the {side}")
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


def _time(
    contestants: Contestants,
    work: Work,
    journal: Journal,
    launchers: Launchers,
    attempt_and_limit: tuple[int, float],
) -> None:
    """Run rounds until the interval is narrow or the time is spent.

    Rounds of an earlier run that was ended count too, as each of them is a ratio by itself.
    """
    attempt, limit = attempt_and_limit
    rounds = rounds_of(journal, work.name, attempt)
    launch = max((one.launch for one in rounds), default=0)
    while time.monotonic() < limit:
        timing = evaluate(rounds_of(journal, work.name, attempt))
        if timing is not None and _is_settled(timing):
            return
        launch += 1
        known = (
            ""
            if timing is None
            else f" {timing.ratio.estimate:.3f} ± {timing.ratio.half_width:.3f}"
        )
        _progress(f"{work.name}: seconds, {'again, ' * (attempt - 1)}launch {launch}{known}")
        try:
            clocked_launch(contestants, work, journal, launchers, (attempt, launch, limit))
        except WorkerError as error:
            journal.add("note", text=f"{work.name}: {error}")
            return


def _is_settled(timing: Timing) -> bool:
    return timing.has_enough and max(timing.ratio.half_width, timing.control.half_width) <= NARROW


def clocked_launch(
    contestants: Contestants,
    work: Work,
    journal: Journal,
    launchers: Launchers,
    attempt_launch_limit: tuple[int, int, float],
) -> None:
    """Run rounds in one set of fresh processes."""
    attempt, launch, limit = attempt_launch_limit
    end = min(time.monotonic() + LAUNCH_SECONDS, limit)
    num_rounds = 0
    with _contest(contestants, work, launchers) as take_turns:
        once = min(block[1] for block in take_turns(1, 0.0)[0])
        num_calls = max(1, round(BLOCK_SECONDS / once))
        while num_rounds < MIN_ROUNDS_PER_LAUNCH or time.monotonic() < end:
            if num_rounds and time.monotonic() > limit:
                return
            for blocks in take_turns(num_calls, ASK_SECONDS):
                journal.add(
                    "round",
                    work=work.name,
                    launch=launch,
                    blocks=blocks,
                    num_calls=num_calls,
                    **{"try": attempt},
                )
                num_rounds += 1


TakeTurns = Callable[[int, float], list[Any]]
"""From the calls in a block and the seconds that it may take to rounds of blocks."""


@contextmanager
def _contest(contestants: Contestants, work: Work, launchers: Launchers) -> Iterator[TakeTurns]:
    """Start what runs rounds: one process for all, or one for each where environments differ."""
    names = list(dict.fromkeys(ORDER))
    random.shuffle(names)  # nobody is always the first to be imported or forked
    sides = {name: "base" if name == "control" else name for name in names}
    works = {name: contestants.plain(work, side) for name, side in sides.items()}
    paths = {name: contestants.builds[side].paths for name, side in sides.items()}
    with ExitStack() as stack:
        if launchers["base"] is launchers["head"]:
            worker = stack.enter_context(launchers["base"].worker(paths))
            yield lambda num_calls, seconds: worker.ask(
                do="rounds", works=works, order=ORDER, num_calls=num_calls, seconds=seconds
            )
            return
        workers = {
            name: stack.enter_context(launchers[side].worker({name: paths[name]}))
            for name, side in sides.items()
        }
        yield lambda num_calls, _: [
            [workers[name].ask(do="time", work=works[name], num_calls=num_calls) for name in ORDER]
        ]


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
