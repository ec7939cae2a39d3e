"""Periodic partial differential equations by a Fourier pseudo-spectral method.

    û' = linear(k) û + factor(k) F[nonlinear(u)]

The stiff linear part is removed by an integrating factor, and what is left is integrated by the
classical Runge-Kutta method of order 4 (Trefethen, Spectral Methods in MATLAB, SIAM 2000,
doi:10.1137/1.9780898719598, program 27).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .rk4 import rk4_states


def spectral_trajectory(
    u0: Tensor,
    *,
    length: float,
    times: Tensor,
    max_step: float,
    linear: Callable[[Tensor], Tensor],
    nonlinear: Callable[[Tensor], Tensor],
    factor: Callable[[Tensor], Tensor],
    resolved_fraction: float,
) -> Tensor:
    """Integrate an equation.

    Parameters
    ----------
    u0 : Tensor, shape (..., num_points), float64
        Initial values on an equidistant periodic grid.
    length : float
        Period of the interval.
    times : Tensor, shape (num_outputs,)
        Increasing output times; the first one is u0's.
    max_step : float
        Largest time step; each output interval is divided evenly.
    linear, factor : callable
        Of the wave numbers ``2π/length · 0, 1, ...``.
    nonlinear : callable
        Of the values on the grid.
    resolved_fraction : float
        Of the wave numbers; the rest would be aliased by the nonlinear part.

    Returns
    -------
    Tensor, shape (num_outputs, ..., num_points)
        u at the output times, the resolved wave numbers only.
    """
    num_points = u0.shape[-1]
    mode = torch.arange(num_points // 2 + 1, dtype=torch.float64)
    wave_number = 2 * math.pi / length * mode
    is_resolved = mode < resolved_fraction * (num_points // 2)
    resolved_factor = factor(wave_number) * is_resolved

    def slope(v: Tensor) -> Tensor:
        transform: Tensor = torch.fft.rfft(nonlinear(torch.fft.irfft(v, n=num_points)))
        return resolved_factor * transform

    start = torch.fft.rfft(u0) * is_resolved
    states = rk4_states(slope, start, times=times, max_step=max_step, linear=linear(wave_number))
    return torch.stack([torch.fft.irfft(v, n=num_points) for v in states])
