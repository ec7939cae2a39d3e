"""Cahn-Hilliard trajectories by a Fourier pseudo-spectral method.

    u_t = ∂_xx (u³ - u - γ u_xx)        on the periodic interval [0, length)

In Fourier space û' = (k² - γ k⁴) û - k² F[u³]. The cubic is cut at half of the wave numbers, beyond
which it would be aliased. Mass is conserved exactly, since nothing drives the wave number 0, and
the energy

    E(u) = ∫ (u² - 1)²/4 + γ u_x²/2 dx

decays: u_t = ∂_xx δE/δu (Cahn & Hilliard, J. Chem. Phys. 28, 1958, doi:10.1063/1.1744102).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .spectral import spectral_trajectory

RESOLVED_FRACTION = 1 / 2  # of the wave numbers; the rest would be aliased by the cubic


def cahn_hilliard_trajectory(
    u0: Tensor, *, gamma: float, length: float, times: Tensor, max_step: float
) -> Tensor:
    """Integrate the Cahn-Hilliard equation.

    Parameters
    ----------
    gamma : float
        Square of the interfaces' width, in units of length squared.
    u0, length, times, max_step
        As for `spectral_trajectory`.
    """
    return spectral_trajectory(
        u0,
        length=length,
        times=times,
        max_step=max_step,
        linear=lambda k: k**2 - gamma * k**4,
        nonlinear=lambda u: u**3,
        factor=lambda k: -(k**2),
        resolved_fraction=RESOLVED_FRACTION,
    )


def cahn_hilliard_energy(u: Tensor, *, gamma: float, length: float) -> Tensor:
    """Return E(u), shape (...), of resolved values u (..., num_points)."""
    num_points = u.shape[-1]
    mode = torch.arange(num_points // 2 + 1, dtype=torch.float64)
    u_x = torch.fft.irfft(2j * math.pi / length * mode * torch.fft.rfft(u), n=num_points)
    density: Tensor = (u.square() - 1).square() / 4 + gamma / 2 * u_x.square()
    return density.mean(dim=-1) * length
