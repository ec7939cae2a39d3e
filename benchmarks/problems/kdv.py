"""Learning the Korteweg-de Vries equation from its trajectories, by an energy network.

The network learns an energy H(u); the state moves by du/dt = G ∇H(u) with G the skew-symmetric
central difference for ∂/∂x, so the learned energy and the mass are conserved by construction.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

import torch
from torch import Tensor, nn

from .kdv_spectral import kdv_trajectory, soliton
from .problem import Problem, ProblemInstance, parse_size

LENGTH = 20.0
NUM_OUTPUTS = 5
DURATION = 1.0
MAX_STEP = 1e-3
REFINEMENT = 2  # data are computed on a finer grid than the network sees
GAIN = 3.0


class EnergyField(nn.Module):
    """du/dt = G ∇H(u), H the sum over x of a small periodic convolutional network.

    One periodic convolution of width 3 and two layers across channels, tanh between them. The
    convolution is written as a linear layer of each point and its neighbours, which is several
    times faster than ``Conv1d`` at this size. The gradient of H is taken by autograd inside the
    field.

    Parameters
    ----------
    num_channels : int
        Hidden channels.
    spacing : float
        Distance of neighbouring grid points.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, num_channels: int, spacing: float, generator: torch.Generator) -> None:
        super().__init__()
        self.spacing = spacing
        self.convolution = nn.Linear(3, num_channels, dtype=torch.float64)
        self.mixing = nn.Linear(num_channels, num_channels, dtype=torch.float64)
        self.readout = nn.Linear(num_channels, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            for layer in (self.convolution, self.mixing, self.readout):
                bound = GAIN / math.sqrt(layer.in_features)
                for parameter in layer.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)

    def energy(self, u: Tensor) -> Tensor:
        """Return H(u), shape (batch,), of states u (batch, num_points)."""
        neighbours = torch.stack((u.roll(1, dims=-1), u, u.roll(-1, dims=-1)), dim=-1)
        hidden = torch.tanh(self.convolution(neighbours))
        density: Tensor = self.readout(torch.tanh(self.mixing(hidden)))
        return density.sum(dim=(-2, -1))

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        """Return du/dt, shape (batch, num_points)."""
        is_differentiated = torch.is_grad_enabled()
        with torch.enable_grad():
            if not (is_differentiated and u.requires_grad):
                u = u.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(
                self.energy(u).sum(), u, create_graph=is_differentiated
            )
        return (gradient.roll(-1, dims=-1) - gradient.roll(1, dims=-1)) / (2 * self.spacing)


class TrajectoryError(nn.Module):
    """Mean squared distance to the computed trajectory, over all outputs and points."""

    trajectory: Tensor

    def __init__(self, trajectory: Tensor) -> None:
        super().__init__()
        self.register_buffer("trajectory", trajectory)

    def forward(self, ys: Tensor) -> Tensor:
        """Return the scalar loss of states (num_outputs, batch, num_points)."""
        return (ys - self.trajectory).square().mean()


@lru_cache(maxsize=4)
def two_soliton_data(num_points: int, batch_size: int, seed: int) -> Tensor:
    """Compute trajectories of two solitons of random speed and place.

    Returns
    -------
    Tensor, shape (NUM_OUTPUTS, batch_size, num_points), float64
        Values at every REFINEMENT-th point of the spectral solver's grid.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(REFINEMENT * num_points, dtype=torch.float64)
    x = x * (LENGTH / (REFINEMENT * num_points))
    draws = torch.rand(batch_size, 4, generator=generator, dtype=torch.float64).tolist()
    u0 = torch.stack(
        [
            soliton(x, 0.0, speed=3 + 3 * a, center=LENGTH * b, length=LENGTH)
            + soliton(x, 0.0, speed=1 + 2 * c, center=LENGTH * (b + 0.3 + 0.4 * d), length=LENGTH)
            for a, b, c, d in draws
        ]
    )
    times = torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64)
    fine = kdv_trajectory(u0, length=LENGTH, times=times, max_step=MAX_STEP)
    return fine[..., ::REFINEMENT].clone()


def make_kdv(size: str, seed: int) -> ProblemInstance:
    """Make the learning problem of a size such as ``"64 points 16 channels batch 8"``."""
    network, batch_size = parse_size(size)
    match = re.fullmatch(r"([1-9]\d*) points ([1-9]\d*) channels", network)
    if match is None:
        raise ValueError(
            f"network {network!r} is not of the form '<grid points> points <channels> channels'"
        )
    num_points, num_channels = int(match[1]), int(match[2])
    trajectory = two_soliton_data(num_points, batch_size, seed)
    generator = torch.Generator().manual_seed(seed)
    return ProblemInstance(
        field=EnergyField(num_channels, LENGTH / num_points, generator),
        y0=trajectory[0].clone(),
        t=torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64),
        loss=TrajectoryError(trajectory),
        batch_size=batch_size,
    )


KDV = Problem(
    name="kdv",
    source=(
        "Korteweg-de Vries by a learned energy, du/dt = G grad H (Matsubara et al., NeurIPS 2020, "
        "arXiv:1905.08604; NeurIPS 2021, arXiv:2102.09750, section 5.2); trajectories computed "
        "here by a pseudo-spectral solver."
    ),
    version="1",
    data="computed",
    rtol=1e-5,
    atol=1e-6,
    first_step=0.05,
    make=make_kdv,
)
