"""Partial differential equations of the form du/dt = G ∇H(u), the energy H learned by a network.

With G skew-symmetric the energy is conserved, with G negative semi-definite it decays, whatever
the network has learned; where the entries of G u sum to zero, so is the mass.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .initial_weights import draw_uniform
from .inner_gradient import inner_gradient


def central_difference(u: Tensor, spacing: float) -> Tensor:
    """Return the periodic central difference for ∂u/∂x, skew-symmetric."""
    return (u.roll(-1, dims=-1) - u.roll(1, dims=-1)) / (2 * spacing)


def second_difference(u: Tensor, spacing: float) -> Tensor:
    """Return the periodic second difference for ∂²u/∂x², negative semi-definite."""
    return (u.roll(-1, dims=-1) - 2 * u + u.roll(1, dims=-1)) / spacing**2


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
    operator : callable
        G, of (u, spacing).
    spacing : float
        Distance of neighbouring grid points.
    gain : float
        Factor on the initial weights.
    generator : torch.Generator
        Source of the initial weights.

    References
    ----------
    Matsubara, Ishikawa & Yaguchi, Deep Energy-Based Modeling of Discrete-Time Physics, NeurIPS
    2020, arXiv:1905.08604, with 200 channels.
    """

    def __init__(
        self,
        num_channels: int,
        operator: Callable[[Tensor, float], Tensor],
        spacing: float,
        gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.operator = operator
        self.spacing = spacing
        self.convolution = nn.Linear(3, num_channels, dtype=torch.float64)
        self.mixing = nn.Linear(num_channels, num_channels, dtype=torch.float64)
        self.readout = nn.Linear(num_channels, 1, bias=False, dtype=torch.float64)
        draw_uniform(self, gain, generator)

    def energy(self, u: Tensor) -> Tensor:
        """Return H(u), shape (batch,), of states u (batch, num_points)."""
        neighbours = torch.stack((u.roll(1, dims=-1), u, u.roll(-1, dims=-1)), dim=-1)
        hidden = torch.tanh(self.convolution(neighbours))
        density: Tensor = self.readout(torch.tanh(self.mixing(hidden)))
        return density.sum(dim=(-2, -1))

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        """Return du/dt, shape (batch, num_points)."""
        return self.operator(inner_gradient(self.energy, u), self.spacing)


def parse_grid(network: str) -> tuple[int, int]:
    """Split an energy network's text into its grid points and channels.

    >>> parse_grid("64 points 16 channels")
    (64, 16)
    """
    match = re.fullmatch(r"([1-9]\d*) points ([1-9]\d*) channels", network)
    if match is None:
        raise ValueError(
            f"network {network!r} is not of the form '<grid points> points <channels> channels'"
        )
    return int(match[1]), int(match[2])
