"""The KdV solver against the exact soliton and the equation's conserved quantities."""

import pytest
import torch

from benchmarks.problems.kdv_spectral import kdv_trajectory, soliton

LENGTH = 40.0


def grid(num_points):
    return torch.arange(num_points, dtype=torch.float64) * (LENGTH / num_points)


def solitons(x):
    return soliton(x, 0.0, speed=4.0, center=16.0, length=LENGTH) + soliton(
        x, 0.0, speed=1.5, center=22.0, length=LENGTH
    )


def test_soliton_travels_at_its_speed_in_its_shape():
    x = grid(256)
    times = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)  # the last is past the boundary
    u0 = soliton(x, 0.0, speed=4.0, center=25.0, length=LENGTH)
    us = kdv_trajectory(u0, length=LENGTH, times=times, max_step=5e-4)
    for t, u in zip(times.tolist(), us, strict=True):
        exact = soliton(x, t, speed=4.0, center=25.0, length=LENGTH)
        assert (u - exact).abs().max() < 1e-7 * exact.max()


def test_error_falls_with_the_fourth_power_of_the_step():
    x = grid(128)
    times = torch.tensor([0.0, 0.5], dtype=torch.float64)
    u0 = soliton(x, 0.0, speed=4.0, center=15.0, length=LENGTH)
    exact = kdv_trajectory(u0, length=LENGTH, times=times, max_step=5e-4)[-1]
    errors = [
        (kdv_trajectory(u0, length=LENGTH, times=times, max_step=h)[-1] - exact).abs().max()
        for h in (0.02, 0.01)
    ]
    assert torch.log2(errors[0] / errors[1]).item() == pytest.approx(4.0, abs=0.4)


def test_mass_and_momentum_are_conserved_while_solitons_collide():
    x = grid(128)
    times = torch.linspace(0.0, 3.0, 4, dtype=torch.float64)
    us = kdv_trajectory(solitons(x), length=LENGTH, times=times, max_step=1e-3)
    assert (us[-1] - us[0]).abs().max() > 0.5  # they did move
    mass, momentum = us.sum(dim=-1), us.square().sum(dim=-1)
    assert (mass / mass[0] - 1).abs().max() < 1e-12
    assert (momentum / momentum[0] - 1).abs().max() < 1e-8


def test_a_batch_is_solved_as_its_members_are():
    x = grid(64)
    times = torch.tensor([0.0, 0.2], dtype=torch.float64)
    u0 = torch.stack([solitons(x), solitons(x).roll(5)])
    together = kdv_trajectory(u0, length=LENGTH, times=times, max_step=5e-3)
    alone = kdv_trajectory(u0[1], length=LENGTH, times=times, max_step=5e-3)
    torch.testing.assert_close(together[:, 1], alone, rtol=0, atol=1e-14)
