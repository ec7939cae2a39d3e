"""What a worker does when it is asked: it is imported after the side's packages are in front."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .clock import clocked_block
from .exact import exact_metrics
from .work import Ready, from_plain, prepare

Request = dict[str, Any]
_ready: dict[str, Ready] = {}

NUM_WARM_UPS = 3


def _get(request: Request) -> Ready:
    """Return the work of a request, warm, and with all that is alive hidden from the collector."""
    work = from_plain(request["work"])
    if work.name not in _ready:
        ready = prepare(work)
        for _ in range(request.get("num_warm_ups", NUM_WARM_UPS)):
            ready.gradient()
        gc.collect()
        gc.freeze()
        _ready[work.name] = ready
    return _ready[work.name]


def _exact(request: Request) -> dict[str, float]:
    return exact_metrics(prepare(from_plain(request["work"])))


def _time(request: Request) -> tuple[float, ...]:
    return clocked_block(_get(request).gradient, request["num_calls"])


def _instructions(request: Request) -> float:
    """Count the machine instructions of one call; the process runs under callgrind."""
    call = _get(request).gradient
    dumps = Path(request["dumps"])
    before = set(dumps.iterdir())
    gc.collect()
    gc.disable()
    torch._C._valgrind_toggle()
    call()
    torch._C._valgrind_toggle_and_dump_stats()
    gc.enable()
    totals = [
        float(line.split()[1])
        for path in set(dumps.iterdir()) - before
        if f".{os.getpid()}" in path.name
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("totals:")
    ]
    if not any(totals):
        raise ValueError("callgrind counted no instructions")
    return max(totals)


ACTIONS: dict[str, Callable[[Request], Any]] = {
    "exact": _exact,
    "time": _time,
    "instructions": _instructions,
}
