"""Measuring training steps on growing groups of processes, which take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from ..meters import peak_bytes, synchronize
from ..problems.problem import parse_size
from ..traffic import Traffic, ring_bytes
from .training import Training, Work, model_of

LINK_BYTES = (8, 1 << 10, 1 << 14, 1 << 18, 1 << 22)
"""Sizes of the all-reduces by which the links are known."""

LINK_ROUNDS = 20


@dataclass
class Cell:
    """A mode and a number of processes, as this process sees it.

    Attributes
    ----------
    mode : str
    world_size : int
    work : Work
        Of each process.
    step : callable or None
        Makes one training step and returns its seconds, forward and backward; None where this
        process takes no part.
    """

    mode: str
    world_size: int
    work: Work
    step: Callable[[], tuple[float, float]] | None
    model: nn.Module | None
    inner: Training | None
    seconds: list[tuple[float, float]] = field(default_factory=list)


def world_sizes(num_processes: int) -> list[int]:
    """Return the powers of two up to the number of processes, and that itself.

    >>> world_sizes(6)
    [1, 2, 4, 6]
    """
    powers = [2**power for power in range(num_processes.bit_length())]
    return sorted({*(size for size in powers if size <= num_processes), num_processes})


def first_ranks(sizes: Sequence[int]) -> dict[int, dist.ProcessGroup]:
    """Return the group of the first ranks of each size; every process has to call this."""
    return {size: dist.new_group(list(range(size))) for size in sizes}


def measure(
    work: Work, engine: str, rounds: int, device: torch.device
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, float]]], int]:
    """Measure every cell.

    Returns
    -------
    cells : list of dict
    links : dict
        Both as in the file; complete on rank 0.
    param_bytes : int
    """
    sizes = world_sizes(dist.get_world_size())
    groups = first_ranks(sizes)
    cells = [
        _cell(
            mode, size, work.shared_out(size) if mode == "strong" else work, engine, groups, device
        )
        for mode in ("strong", "weak")
        for size in sizes
    ]
    for turn in range(rounds + 1):  # the first is a warm-up
        for cell in cells:
            dist.barrier()
            if cell.step is not None:
                seconds = cell.step()
                cell.seconds += [seconds] if turn else []
    described = [_described(cell, groups[cell.world_size], device) for cell in cells]
    links = {str(size): _link(groups[size], device) for size in sizes if size > 1}
    params = cells[-1].work.instance(0, device).field.parameters()
    return described, links, sum(param.nbytes for param in params)


def _cell(
    mode: str,
    size: int,
    work: Work,
    engine: str,
    groups: dict[int, dist.ProcessGroup],
    device: torch.device,
) -> Cell:
    if dist.get_rank() >= size:
        return Cell(mode, size, work, None, None, None)
    model, inner = model_of(work, engine, groups[size], device)

    def step() -> tuple[float, float]:
        gc.collect()
        synchronize(device)
        dist.barrier(groups[size])
        start = time.perf_counter()
        loss = model()
        synchronize(device)
        middle = time.perf_counter()
        loss.backward()
        synchronize(device)
        end = time.perf_counter()
        model.zero_grad()
        return middle - start, end - middle

    return Cell(mode, size, work, step, model, inner)


def _described(cell: Cell, group: dist.ProcessGroup, device: torch.device) -> dict[str, Any]:
    """Return what the file says of a cell; the ranks on rank 0 only."""
    own = None
    dist.barrier()
    if cell.step is not None and cell.inner is not None:
        heard: list[Any] = []
        vars(cell.inner.field)["callback_stats"] = heard.append
        with Traffic() as traffic:
            cell.step()
        del vars(cell.inner.field)["callback_stats"]
        peak = peak_bytes(cell.step, device).on_device
        payload = dict(traffic.payload_bytes)
        own = {
            "seconds_forward": [seconds[0] for seconds in cell.seconds],
            "seconds_backward": [seconds[1] for seconds in cell.seconds],
            "peak_bytes": peak,
            **_counts(heard),
            "calls": dict(traffic.calls),
            "payload_bytes": payload,
            "ring_bytes": {
                kind: ring_bytes(kind, nbytes, cell.world_size) for kind, nbytes in payload.items()
            },
        }
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, own)
    return {
        "mode": cell.mode,
        "world_size": cell.world_size,
        "batch_per_rank": parse_size(cell.work.size)[1],
        "ranks": [rank for rank in ranks if rank is not None],
    }


def _counts(heard: Sequence[Any]) -> dict[str, int | None]:
    """Return what a method told of its solves: nothing, if it does not count."""
    names = ("num_accepted", "num_rejected", "nvjp")
    if not heard:
        return dict.fromkeys((*names, "nfe"))
    counts = {name: sum(getattr(stats, name) for stats in heard) for name in names}
    return {**counts, "nfe": sum(stats.nfe_forward + stats.nfe_backward for stats in heard)}


def _link(group: dist.ProcessGroup, device: torch.device) -> list[dict[str, float]]:
    """Time all-reduces of growing size."""
    found = []
    dist.barrier()
    for nbytes in LINK_BYTES:
        if dist.get_rank() >= dist.get_world_size(group):
            continue
        tensor = torch.zeros(nbytes // 4, device=device)
        seconds = []
        for _ in range(LINK_ROUNDS + 3):
            synchronize(device)
            start = time.perf_counter()
            dist.all_reduce(tensor, group=group)
            synchronize(device)
            seconds.append(time.perf_counter() - start)
        median = sorted(seconds[3:])[LINK_ROUNDS // 2]
        found.append({"bytes": nbytes, "seconds": median})
    return found
