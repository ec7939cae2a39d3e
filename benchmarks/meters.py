"""The meters: seconds, bytes and counts of one gradient, for every method alike."""

from __future__ import annotations

import gc
import math
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import memray
import torch
from torch import Tensor, nn

from .problems import State


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def stopwatch(device: torch.device) -> float:
    """Return the wall clock in seconds, the device's queue emptied first."""
    synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class PeakBytes:
    """Most memory alive at once during a call, above what was alive at its start."""

    cpu: float
    gpu: float


def peak_bytes(call: Callable[[], object], device: torch.device) -> PeakBytes:
    """Measure the peak memory of a call.

    On the CPU by memray, which sees torch's tensors and, with the Python allocators traced, every
    object: without that, whole arenas of Python's own allocator are counted, and the figure
    jumps by 1 MiB now and then. On the GPU by torch's own allocator; NaN without one.
    The call is run once before, with a profile function set as memray sets one: what stays
    allocated after a first call is not this call's, and Python keeps a line table of every
    function that it has run under a profiler, 30 KB for the code of one solver.
    """
    _run_profiled(call)
    gc.collect()
    gpu = float("nan")
    start = 0
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "memray.bin"
        with memray.Tracker(record, trace_python_allocators=True):
            result = call()
        del result
        cpu = float(memray.FileReader(record).metadata.peak_memory)
    if device.type == "cuda":
        synchronize(device)
        gpu = float(torch.cuda.max_memory_allocated(device) - start)
    return PeakBytes(cpu, gpu)


def _run_profiled(call: Callable[[], object]) -> None:
    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        call()
    finally:
        sys.setprofile(before)


class _CountVjp(torch.autograd.Function):
    """The identity; counts how often something is differentiated through it."""

    @staticmethod
    def forward(ctx: Any, counter: CountingField, *slopes: Tensor) -> tuple[Tensor, ...]:
        ctx.counter = counter
        return tuple(slope.view_as(slope) for slope in slopes)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        ctx.counter.num_vjps += 1
        return None, *cotangents


class CountingField(nn.Module):
    """A vector field that counts its evaluations, its vjps and the solver's steps.

    Counting in the field itself treats every method alike. The solver's steps come by
    torchdiffeq's callbacks, which symadj calls too; on a fixed grid every step is accepted and
    only ``callback_step`` exists.

    Attributes
    ----------
    phase : {"forward", "backward"}
        Set by the caller before each pass; steps taken again in the backward pass don't count.
    nfe : dict from phase to int
        Evaluations.
    num_vjps : int
        Vector-Jacobian products.
    accepted_steps : list of (t0, dt)
        Of the forward pass.
    num_rejected : int
        Of the forward pass.
    stats : object
        What the solver itself counts, if it tells: symadj alone knows which steps it replays.
    """

    def __init__(self, field: nn.Module, *, is_adaptive: bool) -> None:
        super().__init__()
        self.field = field
        self.phase: Literal["forward", "backward"] = "forward"
        self.nfe = {"forward": 0, "backward": 0}
        self.num_vjps = 0
        self.accepted_steps: list[tuple[float, float]] = []
        self.num_rejected = 0
        self.stats: object = None
        if is_adaptive:
            self.callback_accept_step = self._count_accepted
            self.callback_reject_step = self._count_rejected
        else:
            self.callback_step = self._count_accepted

    def _count_accepted(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        if self.phase == "forward":
            self.accepted_steps.append((float(t0), float(dt)))

    def _count_rejected(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        if self.phase == "forward":
            self.num_rejected += 1

    def callback_stats(self, stats: object) -> None:
        """Take what the solver counts; the figures of the backward pass are in it afterwards."""
        self.stats = stats

    @property
    def num_replayed_steps(self) -> float:
        """Steps taken again in the backward pass; NaN where the solver does not tell."""
        return float(getattr(self.stats, "num_replayed_steps", math.nan))

    def forward(self, t: Tensor, y: State) -> State:
        """Return the field's dy/dt."""
        self.nfe[self.phase] += 1
        slope: State = self.field(t, y)
        if isinstance(slope, tuple):
            return self._counted(slope)
        (single,) = self._counted((slope,))
        return single

    def _counted(self, slopes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        through: tuple[Tensor, ...] = _CountVjp.apply(self, *slopes)  # type: ignore[no-untyped-call]
        return through
