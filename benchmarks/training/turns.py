"""Curves trained in turns, one iteration each, so that their wall times can be compared."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from ..timing import settled_heap
from .curves import Curve, Work
from .tasks import Task
from .trainer import Trainer

AfterEvaluation = Callable[[int], None]


def new_trainers(
    curves: Sequence[Curve], task: Task, work: Work, seed: int, device: torch.device
) -> list[Trainer]:
    """Return a trainer for each curve, all with the same first weights and the same data."""
    return [
        Trainer(
            curve,
            task,
            task.make(work.network, work.batch_size, seed),
            work.num_grid_steps,
            device,
        )
        for curve in curves
    ]


def train(trainers: Sequence[Trainer], work: Work, partial: Path, after: AfterEvaluation) -> None:
    """Train to the end, from where a killed run left off.

    Parameters
    ----------
    trainers : sequence of Trainer
        New ones.
    work : Work
        The iterations and how often is evaluated.
    partial : Path
        What is kept at each evaluation, and removed in the end by the caller.
    after : callable
        Told the iterations done after each evaluation.
    """
    stops = evaluation_iterations(work)
    done = _restored(trainers, partial)
    with settled_heap():
        if done is None:
            done = _evaluated(trainers, 0, partial, after)
        for start, stop in pairwise(stops[stops.index(done) :]):
            for iteration in range(start, stop):
                _take_turns(trainers, iteration)
            _evaluated(trainers, stop, partial, after)


def evaluation_iterations(work: Work) -> list[int]:
    """Return the iterations after which is evaluated, the first 0 and the last the end.

    >>> evaluation_iterations(Work("", 1, num_iterations=10, num_evaluations=4, num_grid_steps=1))
    [0, 2, 5, 8, 10]
    """
    count = work.num_evaluations
    return [round(i * work.num_iterations / count) for i in range(count + 1)]


def _take_turns(trainers: Sequence[Trainer], iteration: int) -> None:
    """Let each do one iteration; in every other the last goes first, so that none gains by that."""
    gc.disable()
    try:
        for trainer in trainers if iteration % 2 == 0 else reversed(trainers):
            trainer.step()
    finally:
        gc.enable()
    gc.collect()


def _evaluated(
    trainers: Sequence[Trainer], iteration: int, partial: Path, after: AfterEvaluation
) -> int:
    for trainer in trainers:
        trainer.evaluate()
    partial.parent.mkdir(parents=True, exist_ok=True)
    unfinished = partial.with_suffix(".unfinished")
    torch.save({"done": iteration, "states": [one.state() for one in trainers]}, unfinished)
    unfinished.replace(partial)
    after(iteration)
    return iteration


def _restored(trainers: Sequence[Trainer], partial: Path) -> int | None:
    """Return the iterations that were done, and take them over; None if there is nothing."""
    if not partial.exists():
        return None
    kept = torch.load(partial, weights_only=True)
    for trainer, state in zip(trainers, kept["states"], strict=True):
        trainer.restore(state)
    done: int = kept["done"]
    return done
