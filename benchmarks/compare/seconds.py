"""Seconds: launches of rounds, work by work in turn, until each is decided or the time is spent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from reports.tolerances import Threshold

from .contestants import Contestants, Launchers, say
from .journal import Journal
from .launcher import WorkerError
from .ratios import ORDER, Timing, evaluate
from .verdicts import is_decided, needs_repeat, rounds_of
from .work import Work

BLOCK_SECONDS = 0.01
LAUNCH_SECONDS = 1.0
MIN_ROUNDS_PER_LAUNCH = 5

ASK_SECONDS = 0.5
"""Of rounds that a worker runs before it hands them over, to be written down."""

SHARE_OF_FIRST = 0.6
"""Of the time, what first measurements may take: a repetition, where it is needed, comes after."""


def clock_by_turns(
    contestants: Contestants,
    works: Sequence[Work],
    journal: Journal,
    launchers: Launchers,
    threshold: Threshold,
    deadline: float,
) -> None:
    """Run rounds until it is decided of each work whether it is slower, or the time is spent.

    The works take turns, launch by launch: what is soon decided leaves its time to the others, and
    a slow minute of the machine is no single work's. One that is slower at first sight is measured
    again, by fresh processes. Rounds of an earlier run that was ended count too, as each of them
    is a ratio by itself.
    """
    now = time.monotonic()
    limits = {1: now + SHARE_OF_FIRST * (deadline - now), 2: deadline}
    attempts = dict.fromkeys(works, 1)
    while attempts:
        for work, attempt in list(attempts.items()):
            rounds = rounds_of(journal, work.name, attempt)
            timing = evaluate(rounds)
            if timing is not None and is_decided(timing, threshold):
                del attempts[work]
                if attempt == 1 and needs_repeat(timing, threshold):
                    attempts[work] = 2
                continue
            if time.monotonic() >= limits[attempt]:
                del attempts[work]
                continue
            launch = 1 + max((one.launch for one in rounds), default=0)
            again = "again, " * (attempt - 1)
            say(f"{work.name}: seconds, {again}launch {launch}{_known(timing)}")
            place = (attempt, launch, limits[attempt])
            try:
                clocked_launch(contestants, work, journal, launchers, place)
            except WorkerError as error:
                journal.add("note", text=f"{work.name}: {error}")
                del attempts[work]


def _known(timing: Timing | None) -> str:
    if timing is None:
        return ""
    return f" {timing.ratio.estimate:.3f} ± {timing.ratio.half_width:.3f}"


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
