"""Blocks of calls, timed in the worker.

A wall clock on a shared machine mostly measures the others: of a block of 20 ms, half and more was
seen to be waiting for a core. Linux says how long a thread waited (`/proc/thread-self/schedstat`,
second number, nanoseconds), so that can be taken out. What is left is the block's own: computing,
and being blocked by its own doing, as by `time.sleep` or by reading a file.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_HAS_SCHEDSTAT = _SCHEDSTAT.exists()


class Block(NamedTuple):
    """Seconds of one block of calls.

    Attributes
    ----------
    wall : float
        From its start to its end.
    own : float
        The same without the waiting for a core; processor time where the system does not tell.
    blocked : float
        What of ``own`` was spent off the processor: 0.0 for work that only computes.
    """

    wall: float
    own: float
    blocked: float


def clocked_block(call: Callable[[], object], num_calls: int) -> Block:
    """Time a number of calls in a row; the garbage of earlier ones is collected before."""
    gc.collect()
    gc.disable()
    try:
        waited, cpu, wall = _waited(), time.process_time(), time.perf_counter()
        for _ in range(num_calls):
            call()
        wall = time.perf_counter() - wall
        cpu = time.process_time() - cpu
        waited = _waited() - waited
    finally:
        gc.enable()
    if not _HAS_SCHEDSTAT:
        return Block(wall, cpu, 0.0)
    own = max(wall - waited, cpu)
    return Block(wall, own, own - cpu)


def clocked_rounds(
    calls: Mapping[str, Callable[[], object]],
    places: Mapping[str, AbstractContextManager[object]],
    order: Sequence[str],
    num_calls: int,
    seconds: float,
) -> list[list[Block]]:
    """Time several callables by turns, in rounds, for about so long; one round at the least.

    Parameters
    ----------
    calls : mapping from name to callable
    places : mapping from name to context
        Entered before a callable's clock starts, left after it has stopped.
    order : sequence of str
        Names; a name may come more than once.
    num_calls : int
        Calls a block.
    seconds : float
    """
    end = time.perf_counter() + seconds
    rounds: list[list[Block]] = []
    while not rounds or time.perf_counter() < end:
        blocks = []
        for name in order:
            with places[name]:
                blocks.append(clocked_block(calls[name], num_calls))
        rounds.append(blocks)
    return rounds


def _waited() -> float:
    """Return the seconds that this thread has waited for a core since it began."""
    if not _HAS_SCHEDSTAT:
        return 0.0
    return int(_SCHEDSTAT.read_text(encoding="ascii").split()[1]) / 1e9
