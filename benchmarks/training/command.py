"""The command ``python -m benchmarks train``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

import torch

from ..environment import (
    DEVICE_VARIABLE,
    DEVICES,
    SIZE_VARIABLE,
    THREADS_VARIABLE,
    selected_device,
    selected_num_threads,
    selected_size,
)
from ..runner.code_state import WrongTreeError, refuse_changes
from ..runner.collecting import RESULTS
from ..runner.command import FAILED, INTERRUPTED, JOURNAL, MISUSED, ROOT
from ..runner.conditions import Conditions, conditions, folder_name
from ..runner.journal import JournalBusyError, locked, write_json
from ..runner.remaining import spoken
from .curves import CURVES, PLANS, Work
from .store import FOLDER, file_name, record, results_file
from .tasks import TASKS, Task
from .turns import evaluation_iterations, new_trainers, train

Say = Callable[[str], None]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "train",
        help="train with each gradient method: loss against wall time and against evaluations",
        description="Train each task with each method at loose and tight tolerances and in three "
        "precisions, the curves of a task in turns. Killed at any moment, the same command goes on "
        "at the last evaluation.",
    )
    parser.add_argument("--size", choices=PLANS, help="scale of work (quick)")
    parser.add_argument("--device", choices=DEVICES, help="where the tensors lie (cpu)")
    parser.add_argument("--threads", type=int, help="torch's threads on the CPU (1)")
    parser.add_argument(
        "--task", action="append", choices=TASKS, help="only this task; may be repeated"
    )
    parser.set_defaults(command=main)


def main(given: argparse.Namespace, say: Say = print) -> int:
    """Run the command.

    Returns
    -------
    int
        0; 1 if a curve ended early, the others being kept; 2 if the request cannot be met; 130 if
        interrupted.
    """
    asked = {
        SIZE_VARIABLE: given.size,
        DEVICE_VARIABLE: given.device,
        THREADS_VARIABLE: given.threads,
    }
    os.environ.update({name: str(value) for name, value in asked.items() if value is not None})
    try:
        return _run(given.task or list(TASKS), say)
    except (WrongTreeError, JournalBusyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _run(names: list[str], say: Say) -> int:
    if selected_size() not in PLANS:
        raise ValueError(f"there is no training of size {selected_size()!r}; {', '.join(PLANS)}")
    torch.set_num_threads(selected_num_threads())
    plan = PLANS[selected_size()]
    present = conditions(ROOT)
    num_failed = 0
    with locked(JOURNAL):
        for name in names:
            for seed in plan.seeds:
                num_failed += _train_one(TASKS[name], plan.work[name], seed, present, say)
    if num_failed:
        say(f"{num_failed} curves ended early; their files say why")
    return FAILED if num_failed else 0


def _train_one(task: Task, work: Work, seed: int, present: Conditions, say: Say) -> int:
    """Train the curves of a task; return how many ended early."""
    folder = JOURNAL / folder_name(present) / FOLDER
    file, partial = folder / file_name(task, seed), folder / f"{task.name}-seed-{seed}.partial"
    if not file.exists():
        trainers = new_trainers(CURVES, task, work, seed, selected_device())
        train(trainers, work, partial, _Progress(f"{task.name}, seed {seed}", work, say))
        refuse_changes(ROOT, str(present["code"]))
        data = task.make(work.network, work.batch_size, seed)
        write_json(file, record(task, work, seed, data, trainers, present))
        partial.unlink()
    kept = json.loads(file.read_text(encoding="utf-8"))
    destination = results_file(ROOT / RESULTS, present, task, seed)
    write_json(destination, kept)
    say(f"training: {os.path.relpath(destination, ROOT)}")
    return sum(curve["failure"] is not None for curve in kept["curves"])


class _Progress:
    """Says after each evaluation how much of a task is done, and how long the rest may take."""

    def __init__(self, name: str, work: Work, say: Say) -> None:
        self._name = name
        self._total = evaluation_iterations(work)[-1]
        self._say = say
        self._first: tuple[int, float] | None = None

    def __call__(self, iteration: int) -> None:
        now = time.monotonic()
        left = "an unknown time"
        if self._first is None:
            self._first = (iteration, now)
        else:
            done, since = self._first
            left = spoken((self._total - iteration) * (now - since) / (iteration - done))
        self._say(f"{self._name}: iteration {iteration} of {self._total}; about {left} left")
