"""Clocks: the wall's, and on a GPU its own."""

from __future__ import annotations

import math
import time

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Reads the wall clock at marks, and on a GPU also the time of its own queue.

    The wall clock includes what the host does before it hands work over; CUDA's events are passed
    by the GPU itself, so their time holds what the GPU worked and what it waited for in between.

    Parameters
    ----------
    device : torch.device
        Where the work is done; its queue is emptied before each mark.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._walls: list[float] = []
        self._events: list[torch.cuda.Event] = []
        self.mark()

    def mark(self) -> None:
        """End a lap and begin the next."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._events.append(event)
        synchronize(self._device)
        self._walls.append(time.perf_counter())

    @property
    def wall_seconds(self) -> tuple[float, ...]:
        """Wall seconds of each lap."""
        return tuple(
            stop - start for start, stop in zip(self._walls, self._walls[1:], strict=False)
        )

    @property
    def cuda_seconds(self) -> float:
        """Seconds from the first mark to the last on the GPU's own clock; NaN without a GPU."""
        if not self._events:
            return math.nan
        milliseconds: float = self._events[0].elapsed_time(self._events[-1])
        return milliseconds / 1000
