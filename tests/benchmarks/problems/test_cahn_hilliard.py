import torch

from benchmarks.problems.cahn_hilliard import (
    CAHN_HILLIARD,
    DURATION,
    GAMMA,
    LENGTH,
    separating_data,
)
from benchmarks.problems.cahn_hilliard_spectral import (
    cahn_hilliard_energy,
    cahn_hilliard_trajectory,
)

INSTANCE = CAHN_HILLIARD.build("32 points 3 channels batch 4", torch.float64, torch.device("cpu"))


def test_field_is_the_second_difference_of_the_energys_gradient():
    field, u = INSTANCE.field, INSTANCE.y0
    gradient = torch.func.grad(lambda v: field.energy(v).sum())(u)
    slope = field(INSTANCE.t[0], u)
    for i in range(32):
        second = gradient[:, (i + 1) % 32] - 2 * gradient[:, i] + gradient[:, i - 1]
        torch.testing.assert_close(slope[:, i], second * (32 / LENGTH) ** 2)


def test_field_conserves_mass_and_dissipates_the_energy():
    field, u = INSTANCE.field, INSTANCE.y0
    gradient = torch.func.grad(lambda v: field.energy(v).sum())(u)
    slope = field(INSTANCE.t[0], u)
    assert slope.sum(dim=-1).abs().max() < 1e-12 * slope.norm()
    assert ((gradient * slope).sum(dim=-1) < 0).all()


def test_field_is_differentiable():
    u = INSTANCE.y0[:1].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: INSTANCE.field(INSTANCE.t[0], v), (u,))


def test_data_are_the_equations_solution_and_are_the_targets():
    data = separating_data(32, 4, seed=0)
    assert data.shape == (5, 4, 32)
    assert torch.equal(INSTANCE.y0, data[0])
    assert INSTANCE.loss(data).item() == 0
    assert (data[-1] - data[0]).abs().max() > 0.3  # the mixtures separated
    # Solved again with half of the step, from the values on twice the points.
    fine = separating_data(64, 4, seed=0)
    times = torch.tensor([0.0, DURATION], dtype=torch.float64)
    again = cahn_hilliard_trajectory(
        fine[0], gamma=GAMMA, length=LENGTH, times=times, max_step=2e-6
    )
    assert (again[-1][:, ::2] - data[-1]).abs().max() < 2e-2
    energy = cahn_hilliard_energy(fine, gamma=GAMMA, length=LENGTH)
    assert (energy.diff(dim=0) < 0).all()
