"""Cahn-Hilliard trajectories by a Fourier pseudo-spectral method.

    u_t = ∂_xx (u³ - u - γ u_xx)        on the periodic interval [0, length)

In Fourier space û' = (k² - γ k⁴) û - k² F[u³]. The linear part, stiff because of k⁴, is removed by
an integrating factor. The cubic is cut at half of the wave numbers, beyond which it would be
aliased. Mass is conserved exactly, since nothing drives the wave number 0, and the energy

    E(u) = ∫ (u² - 1)²/4 + γ u_x²/2 dx

decays: u_t = ∂_xx δE/δu (Cahn & Hilliard, J. Chem. Phys. 28, 1958, doi:10.1063/1.1744102).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .rk4 import rk4_states

RESOLVED_FRACTION = 1 / 2  # of the wave numbers; the rest would be aliased by the cubic


def cahn_hilliard_trajectory(
    u0: Tensor, *, gamma: float, length: float, times: Tensor, max_step: float
) -> Tensor:
    """Integrate the Cahn-Hilliard equation.

    Parameters
    ----------
    u0 : Tensor, shape (..., num_points), float64
        Initial values on an equidistant periodic grid.
    gamma : float
        Square of the interfaces' width, in units of length squared.
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
    cubic_factor = -(wave_number**2) * is_resolved

    def separate(v: Tensor) -> Tensor:
        """-k² F[u³], the nonlinear part of û'."""
        separated: Tensor = cubic_factor * torch.fft.rfft(torch.fft.irfft(v, n=num_points) ** 3)
        return separated

    states = rk4_states(
        separate,
        torch.fft.rfft(u0) * is_resolved,
        times=times,
        max_step=max_step,
        linear=wave_number**2 - gamma * wave_number**4,
    )
    return torch.stack([torch.fft.irfft(v, n=num_points) for v in states])


def cahn_hilliard_energy(u: Tensor, *, gamma: float, length: float) -> Tensor:
    """Return E(u), shape (...), of resolved values u (..., num_points)."""
    num_points = u.shape[-1]
    mode = torch.arange(num_points // 2 + 1, dtype=torch.float64)
    u_x = torch.fft.irfft(2j * math.pi / length * mode * torch.fft.rfft(u), n=num_points)
    density: Tensor = (u.square() - 1).square() / 4 + gamma / 2 * u_x.square()
    return density.mean(dim=-1) * length
