"""Peak memory of a call."""

from __future__ import annotations

import gc
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import memray
import torch

from .clock import synchronize


@dataclass(frozen=True)
class PeakBytes:
    """Most memory alive at once during a call, above what was alive at its start.

    Attributes
    ----------
    cpu : float
        By memray.
    gpu : float
        Of tensors; NaN without a GPU.
    gpu_reserved : float
        What torch took from the GPU to hold them; NaN without a GPU.
    """

    cpu: float
    gpu: float
    gpu_reserved: float

    @property
    def on_device(self) -> float:
        """That of the device on which the tensors lie."""
        return self.cpu if math.isnan(self.gpu) else self.gpu


def peak_bytes(call: Callable[[], object], device: torch.device) -> PeakBytes:
    """Measure the peak memory of a call.

    On the CPU by memray, which sees torch's tensors and, with the Python allocators traced, every
    object: without that, whole arenas of Python's own allocator are counted, and the figure
    jumps by 1 MiB now and then. On the GPU by torch's own allocator.
    The call is run once before, with a profile function set as memray sets one: what stays
    allocated after a first call is not this call's, and Python keeps a line table of every
    function that it has run under a profiler, 30 KB for the code of one solver.
    """
    _run_profiled(call)
    gc.collect()
    is_on_gpu = device.type == "cuda"
    start = start_reserved = 0
    if is_on_gpu:
        synchronize(device)
        torch.cuda.empty_cache()  # or the call would be served from what others have reserved
        torch.cuda.reset_peak_memory_stats(device)
        start = torch.cuda.memory_allocated(device)
        start_reserved = torch.cuda.memory_reserved(device)
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "memray.bin"
        with memray.Tracker(record, trace_python_allocators=True):
            result = call()
        del result
        cpu = float(memray.FileReader(record).metadata.peak_memory)
    if not is_on_gpu:
        return PeakBytes(cpu, math.nan, math.nan)
    synchronize(device)
    return PeakBytes(
        cpu,
        float(torch.cuda.max_memory_allocated(device) - start),
        float(torch.cuda.max_memory_reserved(device) - start_reserved),
    )


def _run_profiled(call: Callable[[], object]) -> None:
    before = sys.getprofile()
    sys.setprofile(lambda *_: None)
    try:
        call()
    finally:
        sys.setprofile(before)
