"""Command line of the scaling benchmark: run by torchrun, see the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ..environment import selected_device, selected_num_threads
from ..methods import METHODS
from ..provenance import surroundings
from ..runner.code_state import code_state
from ..runner.conditions import machine_name
from .measuring import measure
from .training import ENGINES, Work

SCHEMA = 1
SURROUNDINGS = ("python", "packages", "num_threads", "cpu", "gpu")
ROOT = Path(__file__).resolve().parents[2]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torchrun ... -m benchmarks.scaling",
        description="Measure a training step on growing numbers of processes.",
    )
    parser.add_argument("--problem", default="mlp-size")
    parser.add_argument("--size", default="64-256-256-64 batch 256", help="network and batch")
    parser.add_argument("--method", default="symadj", choices=METHODS)
    parser.add_argument("--engine", default="ddp", choices=ENGINES)
    parser.add_argument("--steps", type=int, help="of a fixed grid of rk4 (error control)")
    parser.add_argument("--sync-steps", action="store_true", help="the same steps on every process")
    parser.add_argument("--rounds", type=int, default=10, help="training steps of each cell (10)")
    parser.add_argument("--results", type=Path, default=ROOT / ".asv" / "results")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the file on rank 0."""
    given = _parser().parse_args(arguments)
    if "RANK" not in os.environ:
        print(
            "error: this is run in several processes, by `torchrun --nproc-per-node 2 -m "
            "benchmarks.scaling`",
            file=sys.stderr,
        )
        return 2
    torch.set_num_threads(selected_num_threads())
    device = selected_device()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        work = Work(given.problem, given.size, given.method, given.steps, given.sync_steps)
        cells, links, param_bytes = measure(work, given.engine, given.rounds, device)
        if dist.get_rank() == 0:
            record = _record(given, cells, links, param_bytes)
            print(_write(given.results, record))
    finally:
        dist.destroy_process_group()
    return 0


def _record(
    given: argparse.Namespace, cells: Any, links: Any, param_bytes: int
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "commit": code_state(ROOT).commit,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **{key: value for key, value in surroundings().items() if key in SURROUNDINGS},
        "problem": given.problem,
        "size": given.size,
        "method": given.method,
        "steps": given.steps or "adaptive",
        "engine": given.engine,
        "sync_steps": given.sync_steps,
        "backend": dist.get_backend(),
        "num_nodes": int(os.environ["WORLD_SIZE"]) // int(os.environ["LOCAL_WORLD_SIZE"]),
        "num_processes": dist.get_world_size(),
        "num_cpu": os.cpu_count(),
        "param_bytes": param_bytes,
        "links": links,
        "cells": cells,
    }


def _write(results: Path, record: dict[str, object]) -> Path:
    name = "-".join(
        str(part)
        for part in (
            str(record["commit"])[:8],
            record["problem"],
            record["engine"],
            *(["sync"] if record["sync_steps"] else []),
            record["num_processes"],
        )
    )
    path = results / machine_name(record) / "scaling" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
