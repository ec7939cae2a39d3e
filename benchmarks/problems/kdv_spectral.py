"""Korteweg-de Vries trajectories by a Fourier pseudo-spectral method.

    u_t + 6 u u_x + u_xxx = 0        on the periodic interval [0, length)

In Fourier space û' = i k³ û - 3 i k F[u²]. Products are cut by the 2/3 rule, with which the
semi-discrete system conserves mass and momentum exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .spectral import spectral_trajectory

RESOLVED_FRACTION = 2 / 3  # of the wave numbers; the rest would be aliased by the product


def soliton(x: Tensor, t: float, *, speed: float, center: float, length: float) -> Tensor:
    """Exact travelling wave c/2 sech²(√c/2 (x - x0 - c t)), wrapped periodically.

    Parameters
    ----------
    x : Tensor, shape (num_points,)
        Grid.
    t : float
        Time.
    speed, center, length : float
        c, the position x0 at t = 0, and the period. The wave's tail at half a period must be
        negligible for the wrapped wave to be a solution.
    """
    distance = torch.remainder(x - center - speed * t + length / 2, length) - length / 2
    return 0.5 * speed / torch.cosh(0.5 * math.sqrt(speed) * distance).square()


def kdv_trajectory(u0: Tensor, *, length: float, times: Tensor, max_step: float) -> Tensor:
    """Integrate the KdV equation; parameters as for `spectral_trajectory`."""
    return spectral_trajectory(
        u0,
        length=length,
        times=times,
        max_step=max_step,
        linear=lambda k: 1j * k**3,
        nonlinear=torch.square,
        factor=lambda k: -3j * k,
        resolved_fraction=RESOLVED_FRACTION,
    )
