"""Korteweg-de Vries trajectories by a Fourier pseudo-spectral method.

    u_t + 6 u u_x + u_xxx = 0        on the periodic interval [0, length)

In Fourier space û' = i k³ û - 3 i k F[u²]. The stiff linear part is removed by the integrating
factor exp(-i k³ t), and what is left is integrated by the classical Runge-Kutta method of order 4
(Trefethen, Spectral Methods in MATLAB, SIAM 2000, program 27). Products are cut by the 2/3 rule,
with which the semi-discrete system conserves mass and momentum exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .rk4 import rk4_states

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
    """Integrate the KdV equation.

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

    Returns
    -------
    Tensor, shape (num_outputs, ..., num_points)
        u at the output times, the resolved wave numbers only.
    """
    num_points = u0.shape[-1]
    mode = torch.arange(num_points // 2 + 1, dtype=torch.float64)
    wave_number = 2 * math.pi / length * mode
    is_resolved = mode < RESOLVED_FRACTION * (num_points // 2)
    product_factor: Tensor = -3j * wave_number * is_resolved

    def transport(v: Tensor) -> Tensor:
        """-3 i k F[u²], the nonlinear part of û'."""
        transported: Tensor = product_factor * torch.fft.rfft(
            torch.fft.irfft(v, n=num_points).square()
        )
        return transported

    states = rk4_states(
        transport,
        torch.fft.rfft(u0) * is_resolved,
        times=times,
        max_step=max_step,
        linear=1j * wave_number**3,
    )
    return torch.stack([torch.fft.irfft(v, n=num_points) for v in states])
