"""Two-dimensional spirals, observed with noise at irregular times, each sample at its own."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

NUM_TIMES = 100  # at which any sample may be observed
NUM_OBSERVED = 30  # of them, for each sample
MAX_ANGLE = 6 * math.pi
DURATION = MAX_ANGLE / 5  # of a sample, in units of the angle
NOISE = 0.3  # standard deviation of an observation's error


class Observations(NamedTuple):
    """What is known of a batch of paths.

    Attributes
    ----------
    times : Tensor, shape (NUM_TIMES,), float64
        Increasing, irregular, from 0 to at most DURATION.
    values : Tensor, shape (NUM_TIMES, batch, 2), float64
        With noise; of no meaning where not observed.
    is_observed : Tensor, shape (NUM_TIMES, batch), bool
    """

    times: Tensor
    values: Tensor
    is_observed: Tensor


def spiral(angle: Tensor, is_clockwise: Tensor) -> Tensor:
    """Return points of two Archimedean spirals, shape (..., 2), at an angle from 0 to MAX_ANGLE."""
    inward = MAX_ANGLE + 1 - angle
    theta = torch.where(is_clockwise, inward, angle)
    radius = torch.where(is_clockwise, 50 / inward, angle)
    shift = torch.where(is_clockwise, -5.0, 5.0)
    return torch.stack((radius * theta.cos() + shift, radius * theta.sin()), dim=-1)


def observe_spirals(batch_size: int, generator: torch.Generator) -> Observations:
    """Draw spirals, half of them clockwise, each beginning at a random angle."""
    gaps = torch.rand(NUM_TIMES, generator=generator, dtype=torch.float64)
    times = DURATION * (gaps.cumsum(dim=0) - gaps[0]) / gaps.sum()
    start, turn = torch.rand(2, batch_size, generator=generator, dtype=torch.float64)
    first = DURATION + (MAX_ANGLE - 3 * DURATION) * start  # neither at the centre nor at the end
    path = spiral(first + times[:, None], turn > 0.5)
    noise = torch.randn(path.shape, generator=generator, dtype=torch.float64)
    order = torch.rand(NUM_TIMES, batch_size, generator=generator).argsort(dim=0)
    return Observations(times, path + NOISE * noise, order < NUM_OBSERVED)
