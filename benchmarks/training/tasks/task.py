"""What a training task is: a field to be trained, its batches, and what is held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ...problems import ProblemInstance

LOOSE_RTOL = 1e-2

MakeInstance = Callable[[nn.Module, int], ProblemInstance]


@dataclass(frozen=True)
class TaskData:
    """A task's data and first weights, all in float64 on the CPU.

    Attributes
    ----------
    trained : torch.nn.Module
        The module whose parameters are trained, with its first weights: those of the field, then,
        if it has any, those of the loss.
    batch : callable
        ``batch(trained, iteration)`` is the problem of that iteration's batch: the same data for
        the same iteration, whatever is trained by whichever method.
    held_out : callable
        ``held_out(trained)`` is the problem of the held-out data.
    num_train, num_held_out : int
        Samples.
    """

    trained: nn.Module
    batch: MakeInstance
    held_out: Callable[[nn.Module], ProblemInstance]
    num_train: int
    num_held_out: int


@dataclass(frozen=True)
class Task:
    """A training task.

    Attributes
    ----------
    name, source : str
        The name in result files, and where the task is from.
    data : {"real", "computed"}
        Where the data come from.
    make : callable
        ``make(network, batch_size, seed)`` loads the data and draws the first weights.
    tableau : str
        Of adaptive solves.
    learning_rate : float
        Of Adam.
    first_step : float
        Of adaptive solves, in units of t, so that every method takes the same steps.
    tight_rtol : float
        Of the tight tolerance; the loose one is `LOOSE_RTOL`.
    evaluation_tableau : str
        Of the solves that evaluate the held-out loss.
    evaluation_rtol : float
        Of the same; their absolute tolerance is a hundredth of it.
    """

    name: str
    source: str
    data: Literal["real", "computed"]
    make: Callable[[str, int, int], TaskData]
    tableau: str
    learning_rate: float
    first_step: float
    tight_rtol: float = 1e-5
    evaluation_tableau: str = "dopri8"
    evaluation_rtol: float = 1e-6

    @property
    def rtols(self) -> dict[str, float]:
        """The tolerances by their names."""
        return {"loose": LOOSE_RTOL, "tight": self.tight_rtol}


def chosen_samples(num_samples: int, batch_size: int, seed: int, iteration: int) -> Tensor:
    """Return the samples of an iteration's batch, drawn without replacement within an epoch."""
    per_epoch = max(1, num_samples // batch_size)
    epoch, position = divmod(iteration, per_epoch)
    order = torch.randperm(num_samples, generator=generator_of(seed, 1 + epoch))
    return order[position * batch_size : (position + 1) * batch_size]


def generator_of(seed: int, number: int) -> torch.Generator:
    """Return a generator of its own for each number, so that a run may begin anywhere."""
    return torch.Generator().manual_seed(1_000_003 * seed + number)
