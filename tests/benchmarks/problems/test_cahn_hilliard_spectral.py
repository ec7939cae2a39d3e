"""The Cahn-Hilliard solver against the equation's laws, an exact state, and itself refined."""

import math

import pytest
import torch

from benchmarks.problems.cahn_hilliard_spectral import (
    cahn_hilliard_energy,
    cahn_hilliard_trajectory,
)

GAMMA = 1e-3
LENGTH = 1.0
TIMES = torch.linspace(0.0, 0.01, 6, dtype=torch.float64)


def grid(num_points):
    return torch.arange(num_points, dtype=torch.float64) * (LENGTH / num_points)


def mixture(num_points):
    x = 2 * math.pi * grid(num_points)
    return 0.1 + 0.3 * torch.cos(x) - 0.2 * torch.sin(3 * x) + 0.1 * torch.cos(4 * x)


def solved(u0, times=TIMES, max_step=2e-5):
    return cahn_hilliard_trajectory(u0, gamma=GAMMA, length=LENGTH, times=times, max_step=max_step)


def test_mass_is_conserved_and_energy_decays_while_the_mixture_separates():
    us = solved(mixture(128), max_step=5e-5)
    assert us[-1].abs().max() > 1.4 * us[0].abs().max()
    mass = us.mean(dim=-1)
    assert (mass - mass[0]).abs().max() < 1e-15
    energy = cahn_hilliard_energy(us, gamma=GAMMA, length=LENGTH)
    assert (energy.diff() < 0).all()
    assert energy[-1] < 0.85 * energy[0]


def test_energy_is_the_integral():
    # The average of (cos² - 1)² is 3/8, that of sin² is 1/2.
    u = torch.cos(2 * math.pi * grid(64))
    expected = 3 / 32 + GAMMA / 4 * (2 * math.pi) ** 2
    assert cahn_hilliard_energy(u, gamma=GAMMA, length=LENGTH).item() == pytest.approx(expected)


def test_small_waves_grow_at_the_rate_of_the_linear_equation():
    k = 2 * math.pi * 3
    u0 = 1e-6 * torch.cos(k * grid(64))
    (_, u) = solved(u0, times=TIMES[:2])
    growth = math.exp((k**2 - GAMMA * k**4) * TIMES[1].item())
    torch.testing.assert_close(u, growth * u0, rtol=0, atol=1e-15)


def test_two_interfaces_are_at_rest_where_the_energy_is_least():
    # tanh(x / √(2γ)) is the exact interface on a line; two of them far apart barely feel the other.
    x = grid(512)
    width = math.sqrt(2 * GAMMA)
    u0 = torch.tanh((x - 0.25) / width) - torch.tanh((x - 0.75) / width) - 1
    us = solved(u0, times=TIMES[:2], max_step=1e-5)
    assert (us[1] - us[0]).abs().max() < 1e-3


def test_error_falls_with_the_fourth_power_of_the_step():
    times = TIMES[:3]
    exact = solved(mixture(32), times=times, max_step=1e-5)[-1]
    errors = [
        (solved(mixture(32), times=times, max_step=h)[-1] - exact).abs().max() for h in (2e-4, 1e-4)
    ]
    assert torch.log2(errors[0] / errors[1]).item() == pytest.approx(4.0, abs=0.2)


def test_a_finer_grid_has_the_same_solution():
    coarse, fine = solved(mixture(128))[-1], solved(mixture(256))[-1]
    assert (coarse - fine[::2]).abs().max() < 2e-6


def test_a_batch_is_solved_as_its_members_are():
    u0 = torch.stack((mixture(64), mixture(64).roll(5)))
    together = solved(u0, max_step=2e-4)
    torch.testing.assert_close(together[:, 1], solved(u0[1], max_step=2e-4), rtol=0, atol=1e-13)
