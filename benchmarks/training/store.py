"""What is written of a training: one JSON file for each task and seed.

    {"schema": 1, "kind": "training", "task": ..., "data": "real" | "computed", "source": ...,
     "network": ..., "num_train": ..., "num_held_out": ..., "batch_size": ..., "seed": ...,
     "num_iterations": ..., "optimizer": {...}, "tolerances": {...}, "evaluation": {...},
     "conditions": {commit, code, is_dirty, size, device, num_threads, cpu, num_cpu, gpu, python,
                    packages, ...}, "machine": ..., "date": ...,
     "curves": [{"method": ..., "setting": "loose" | "tight" | "grid", "dtype": ...,
                 "failure": null | the traceback of what ended it,
                 "points": [{the fields of Point}, ...]}, ...]}

Units are in the names; a number that is not finite is null. Points of all curves have the same
iterations, but for a curve that failed, which ends before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ..runner.conditions import Conditions, machine_name
from .curves import ATOL_OF_RTOL, GRID_TABLEAU, Work
from .tasks import Task, TaskData
from .trainer import EVALUATION_ATOL_OF_RTOL, Trainer

SCHEMA = 1
FOLDER = "training"


def record(
    task: Task,
    work: Work,
    seed: int,
    data: TaskData,
    trainers: Sequence[Trainer],
    given: Conditions,
) -> dict[str, object]:
    """Return a training as it is written."""
    return {
        "schema": SCHEMA,
        "kind": "training",
        "task": task.name,
        "data": task.data,
        "source": task.source,
        "network": work.network,
        "num_parameters": sum(weight.numel() for weight in data.trained.parameters()),
        "num_train": data.num_train,
        "num_held_out": data.num_held_out,
        "batch_size": work.batch_size,
        "seed": seed,
        "num_iterations": work.num_iterations,
        "optimizer": {"name": "Adam", "learning_rate": task.learning_rate, "dtype": "float64"},
        "tolerances": {
            name: {"tableau": task.tableau, "rtol": rtol, "atol": ATOL_OF_RTOL * rtol}
            for name, rtol in task.rtols.items()
        },
        "grid": {"tableau": GRID_TABLEAU, "num_steps": work.num_grid_steps},
        "evaluation": {
            "tableau": task.evaluation_tableau,
            "rtol": task.evaluation_rtol,
            "atol": EVALUATION_ATOL_OF_RTOL * task.evaluation_rtol,
            "dtype": "float64",
        },
        "machine": machine_name(given),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "conditions": dict(given),
        "curves": [
            asdict(trainer.curve)
            | {
                "failure": trainer.failure,
                "points": [
                    {name: _finite(value) for name, value in asdict(point).items()}
                    for point in trainer.points
                ],
            }
            for trainer in trainers
        ],
    }


def file_name(task: Task, seed: int) -> str:
    """Return a name for a training's file."""
    return f"{task.name}-seed-{seed}.json"


def results_file(results: Path, given: Conditions, task: Task, seed: int) -> Path:
    """Return where the report looks for a training."""
    prefix = f"{str(given['commit'])[:8]}-{given['size']}"
    return results / machine_name(given) / FOLDER / f"{prefix}-{file_name(task, seed)}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
