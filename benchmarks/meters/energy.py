"""Energy that a GPU takes for a call, from its own counter, where NVML gives it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from .clock import synchronize

try:
    import pynvml
except ImportError:  # the package nvidia-ml-py, worth installing beside a GPU only
    pynvml = None

MIN_SECONDS = 1.0
"""How long a call is repeated: the counter moves some ten times a second only."""


def joules(
    call: Callable[[], object], device: torch.device, *, min_seconds: float = MIN_SECONDS
) -> float:
    """Return the energy of one call; NaN without a GPU, NVML, or a counter in this GPU.

    The whole card's: what it takes idling is in it, and so is whatever else runs there.
    """
    read = _counter(device)
    if read is None:
        return math.nan
    num_calls, start, clock = 0, read(), time.perf_counter()
    while num_calls == 0 or time.perf_counter() - clock < min_seconds:
        call()
        synchronize(device)
        num_calls += 1
    return (read() - start) / num_calls


def _counter(device: torch.device) -> Callable[[], float] | None:
    """Return a function that reads the joules taken so far, if there is one to be had."""
    if pynvml is None or device.type != "cuda":
        return None
    try:
        pynvml.nvmlInit()
        # By its identity: CUDA_VISIBLE_DEVICES renumbers what torch sees, and not what NVML does.
        uuid = torch.cuda.get_device_properties(device).uuid
        handle: Any = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:  # no driver, no permission, or a card older than Volta
        return None

    def read() -> float:
        millijoules: int = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return millijoules / 1000

    return read
