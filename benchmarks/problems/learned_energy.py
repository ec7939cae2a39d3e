"""What learning any partial differential equation by an energy network is made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .energy_field import EnergyField, parse_grid
from .losses import TrajectoryError
from .problem import ProblemInstance, parse_size


def energy_instance(
    size: str,
    seed: int,
    *,
    data: Callable[[int, int, int], Tensor],
    operator: Callable[[Tensor, float], Tensor],
    length: float,
    times: Tensor,
    gain: float,
) -> ProblemInstance:
    """Make the learning problem of a size such as ``"64 points 16 channels batch 8"``.

    Parameters
    ----------
    size : str
    seed : int
    data : callable
        Trajectories, shape (num_outputs, batch, num_points), of (num_points, batch_size, seed).
    operator : callable
        G, of (u, spacing).
    length : float
        Period of the interval.
    times : Tensor, shape (num_outputs,)
        Of the data.
    gain : float
        Factor on the initial weights.
    """
    network, batch_size = parse_size(size)
    num_points, num_channels = parse_grid(network)
    trajectory = data(num_points, batch_size, seed)
    generator = torch.Generator().manual_seed(seed)
    return ProblemInstance(
        field=EnergyField(num_channels, operator, length / num_points, gain, generator),
        y0=trajectory[0].clone(),
        t=times,
        loss=TrajectoryError(trajectory),
        batch_size=batch_size,
    )
