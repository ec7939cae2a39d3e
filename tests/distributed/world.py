"""One process of several: where it stands, and what its checks share."""

import datetime
import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
import torch.distributed as dist

RESULTS = "SYMADJ_CHECKS_RESULTS"
"""Folder into which each process writes what its checks found."""

STUCK_SECONDS = 120.0
"""After which a collective that others do not join is given up."""


@dataclass(frozen=True, slots=True)
class World:
    """Where a process stands among the others.

    Attributes
    ----------
    rank, size : int
    device : torch.device
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_last(self) -> bool:
        return self.rank == self.size - 1


def open_world() -> World:
    """Join the others: NCCL on as many GPUs as there are processes, gloo on the CPU otherwise."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    backend = os.environ.get("SYMADJ_CHECKS_BACKEND", "gloo")
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=datetime.timedelta(seconds=STUCK_SECONDS))
    return World(rank, size, device)


Check: TypeAlias = Callable[[World], None]


def run_checks(checks: Mapping[str, Check]) -> None:
    """Run each check on every process, and write down which failed, and how."""
    world = open_world()
    torch.set_num_threads(1)
    found: dict[str, str] = {}
    seconds: dict[str, float] = {}
    path = Path(os.environ[RESULTS]) / f"{world.rank}.json"
    for name, check in checks.items():
        torch.manual_seed(0)
        began = time.perf_counter()
        try:
            check(world)
            found[name] = ""
        except Exception:
            found[name] = traceback.format_exc()
        seconds[name] = time.perf_counter() - began
        path.write_text(json.dumps({"found": found, "seconds": seconds}))
    dist.barrier()
    dist.destroy_process_group()
