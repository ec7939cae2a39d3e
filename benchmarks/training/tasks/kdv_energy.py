"""The energy of the Korteweg-de Vries equation, learned from pairs of neighbouring states."""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from ...problems import ProblemInstance
from ...problems.energy_field import EnergyField, central_difference, parse_grid
from ...problems.kdv import DURATION, KDV, LENGTH, NUM_OUTPUTS, two_soliton_data
from ...problems.losses import TrajectoryError
from .held_out import split
from .task import Task, TaskData, chosen_samples, generator_of

GAIN = 1.0


def make(network: str, batch_size: int, seed: int) -> TaskData:
    """Make the task of a network such as ``"32 points 8 channels 40 trajectories"``."""
    match = re.fullmatch(r"(.*) ([1-9]\d*) trajectories", network)
    if match is None:
        raise ValueError(f"network {network!r} does not end with '<count> trajectories'")
    num_points, num_channels = parse_grid(match[1])
    data = two_soliton_data(num_points, int(match[2]), seed=0).movedim(1, 0)
    train, held_out = split(data)  # by trajectory: a state's neighbours are held out with it

    def pairs(trajectories: Tensor) -> tuple[Tensor, Tensor]:
        return trajectories[:, :-1].flatten(0, 1), trajectories[:, 1:].flatten(0, 1)

    def instance(trained: nn.Module, before: Tensor, after: Tensor) -> ProblemInstance:
        return ProblemInstance(
            field=trained,
            y0=before,
            t=torch.tensor([0.0, DURATION / (NUM_OUTPUTS - 1)], dtype=torch.float64),
            loss=TrajectoryError(torch.stack([before, after])),
            batch_size=len(before),
        )

    before, after = pairs(train)

    def batch(trained: nn.Module, iteration: int) -> ProblemInstance:
        chosen = chosen_samples(len(before), batch_size, seed, iteration)
        return instance(trained, before[chosen], after[chosen])

    return TaskData(
        trained=EnergyField(
            num_channels, central_difference, LENGTH / num_points, GAIN, generator_of(seed, 0)
        ),
        batch=batch,
        held_out=lambda trained: instance(trained, *pairs(held_out)),
        num_train=len(before),
        num_held_out=len(held_out) * (NUM_OUTPUTS - 1),
    )


KDV_ENERGY = Task(
    name=KDV.name,
    source=KDV.source,
    data="computed",
    make=make,
    tableau="dopri8",
    learning_rate=0.01,
    first_step=KDV.first_step,
)
