"""The mechanical systems from whose paths Hamiltonian networks learn, and their exact energies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .rk4 import rk4_states

MAX_STEP = 5e-3
NOISE = 0.1  # standard deviation of an observation's error


@dataclass(frozen=True)
class Oscillator:
    """A particle with one degree of freedom and H(q, p) = p² + potential(q).

    Attributes
    ----------
    potential, force : callable
        The potential energy of q, and the negative of its derivative.
    radii : (float, float)
        Range of the distance from rest, in the (q, p) plane, at which paths begin.
    """

    potential: Callable[[Tensor], Tensor]
    force: Callable[[Tensor], Tensor]
    radii: tuple[float, float]

    def energy(self, states: Tensor) -> Tensor:
        """Return H, shape (...), of states (q, p) in the last dimension (..., 2)."""
        q, p = states.unbind(dim=-1)
        return p.square() + self.potential(q)

    def paths(self, times: Tensor, num_paths: int, generator: torch.Generator) -> Tensor:
        """Compute paths from random states, shape (num_times, num_paths, 2), float64."""
        least, largest = self.radii
        draws = torch.rand(2, num_paths, generator=generator, dtype=torch.float64)
        radius, angle = least + (largest - least) * draws[0], 2 * math.pi * draws[1]
        start = radius[:, None] * torch.stack((angle.cos(), angle.sin()), dim=-1)
        return torch.stack(rk4_states(self._slope, start, times=times, max_step=MAX_STEP))

    def _slope(self, states: Tensor) -> Tensor:
        q, p = states.unbind(dim=-1)
        return torch.stack((2 * p, self.force(q)), dim=-1)


def observed(paths: Tensor, generator: torch.Generator) -> Tensor:
    """Return the paths with a normal error on every state."""
    errors = torch.randn(paths.shape, generator=generator, dtype=torch.float64)
    return paths + NOISE * errors


SPRING = Oscillator(lambda q: q.square(), lambda q: -2 * q, (0.1, 1.0))
PENDULUM = Oscillator(lambda q: 3 * (1 - q.cos()), lambda q: -3 * q.sin(), (1.3, 2.3))
