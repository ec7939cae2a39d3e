"""What a worker does when it is asked: it is imported after the side's packages are in front."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import valgrind
from .clock import clocked_block
from .events import read_events
from .exact import exact_metrics
from .work import Ready, from_plain, prepare

Request = dict[str, Any]
_ready: dict[str, Ready] = {}

NUM_WARM_UPS = 3


def get_call(plain: dict[str, Any], num_warm_ups: int = NUM_WARM_UPS) -> Callable[[], object]:
    """Return a work's call, warm, and with all that is alive hidden from the collector."""
    work = from_plain(plain)
    if work.name not in _ready:
        ready = prepare(work)
        for _ in range(num_warm_ups):
            ready.gradient()
        gc.collect()
        gc.freeze()
        _ready[work.name] = ready
    return _ready[work.name].gradient


def _exact(request: Request) -> dict[str, float]:
    return exact_metrics(prepare(from_plain(request["work"])))


def _time(request: Request) -> tuple[float, ...]:
    return clocked_block(get_call(request["work"]), request["num_calls"])


def _count(request: Request) -> dict[str, float]:
    """Count the machine's events in one call; the process runs under callgrind."""
    call = get_call(request["work"], num_warm_ups=1)
    valgrind.send(valgrind.Request.START_INSTRUMENTATION)
    call()  # fills the simulated caches
    dumps = Path(request["dumps"])
    before = set(dumps.iterdir())
    gc.collect()
    gc.disable()
    valgrind.send(valgrind.Request.ZERO_STATS)
    call()
    valgrind.send(valgrind.Request.DUMP_STATS)
    gc.enable()
    counted = [
        read_events(path.read_text(encoding="utf-8"))
        for path in set(dumps.iterdir()) - before
        if f".{os.getpid()}" in path.name
    ]
    events = max(counted, key=lambda each: each.get("Ir", 0.0), default={})
    if not events.get("Ir"):
        raise ValueError("callgrind counted no instructions")
    return events


ACTIONS: dict[str, Callable[[Request], Any]] = {
    "exact": _exact,
    "time": _time,
    "count": _count,
}
