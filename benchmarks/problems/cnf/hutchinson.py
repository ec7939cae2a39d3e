"""The state and the loss of a continuous normalizing flow, its trace estimated by one sample."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..inner_gradient import inner_vjp


class HutchinsonFlow(nn.Module):
    """The flow's vector field of (x, log p): d log p/dt = -tr(df/dx), estimated as -eᵀ (df/dx) e.

    The trace is estimated by autograd inside the field with one noise vector per sample, drawn
    once, so that every method differentiates the same function.

    Parameters
    ----------
    velocity : torch.nn.Module
        f(t, x), of x in shape (batch, dim).
    noise : Tensor, shape (batch, dim)
        e, of mean 0 and covariance 1.

    References
    ----------
    Grathwohl et al., FFJORD, ICLR 2019, arXiv:1810.01367, algorithm 1.
    """

    noise: Tensor

    def __init__(self, velocity: nn.Module, noise: Tensor) -> None:
        super().__init__()
        self.velocity = velocity
        self.register_buffer("noise", noise)

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (dx/dt, d log p/dt), shapes (batch, dim) and (batch,)."""
        x, _ = state
        dx, noise_jacobian = inner_vjp(lambda x: self.velocity(t, x), x, self.noise)
        return dx, -(noise_jacobian * self.noise).sum(dim=-1)


class NegativeLogLikelihood(nn.Module):
    """Nats per sample under the standard normal base: -E[log N(x(T)) - (log p(T) - log p(0))]."""

    def forward(self, ys: tuple[Tensor, Tensor]) -> Tensor:
        """Return the scalar loss of states (num_outputs, batch, dim) and (num_outputs, batch)."""
        x, logp = ys
        base = -0.5 * (x[-1].square() + math.log(2 * math.pi)).sum(dim=-1)
        return (logp[-1] - base).mean()


def draw_signs(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return noise of -1 and 1, float64: the least variance that a trace estimate can have."""
    return torch.randint(0, 2, shape, generator=generator).to(torch.float64) * 2 - 1
