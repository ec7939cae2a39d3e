import pytest
import torch

from benchmarks.problems.kdv import DURATION, KDV, LENGTH, two_soliton_data
from benchmarks.problems.kdv_spectral import kdv_trajectory

CPU = torch.device("cpu")
SIZE = "32 points 3 channels batch 4"


@pytest.fixture
def instance():
    return KDV.build(SIZE, torch.float64, CPU)


def test_field_is_the_skew_gradient_of_the_energy(instance):
    field, u = instance.field, instance.y0
    gradient = torch.func.grad(lambda v: field.energy(v).sum())(u)
    slope = field(instance.t[0], u)
    spacing = LENGTH / 32
    for i in range(32):
        expected = (gradient[:, (i + 1) % 32] - gradient[:, i - 1]) / (2 * spacing)
        torch.testing.assert_close(slope[:, i], expected)


def test_field_conserves_mass_and_energy(instance):
    field, u = instance.field, instance.y0
    gradient = torch.func.grad(lambda v: field.energy(v).sum())(u)
    slope = field(instance.t[0], u)
    scale = (gradient.norm() * slope.norm()).item()
    assert slope.norm() > 0.1
    assert slope.sum(dim=-1).abs().max().item() < 1e-12 * scale
    assert (gradient * slope).sum(dim=-1).abs().max().item() < 1e-12 * scale


def test_energy_does_not_depend_on_where_the_wave_is(instance):
    field, u = instance.field, instance.y0
    torch.testing.assert_close(field.energy(u.roll(7, dims=-1)), field.energy(u))


def test_field_is_differentiable(instance):
    u = instance.y0[:1].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: instance.field(instance.t[0], v), (u,))


def test_data_are_the_equations_solution_and_are_the_targets(instance):
    data = two_soliton_data(32, 4, seed=0)
    assert data.shape == (5, 4, 32)
    assert torch.equal(instance.y0, data[0])
    assert instance.loss(data).item() == 0
    assert (data[-1] - data[0]).abs().max() > 1  # the waves moved
    # Solved again with a third of the step, on twice the points the data are given at.
    fine = two_soliton_data(64, 4, seed=0)
    again = kdv_trajectory(
        fine[0], length=LENGTH, times=torch.tensor([0.0, DURATION]).double(), max_step=3e-4
    )
    assert (again[-1][:, ::2] - data[-1]).abs().max() < 1e-3


def test_a_network_in_other_words_is_refused():
    with pytest.raises(ValueError, match="<grid points> points <channels> channels"):
        KDV.build("64-64 batch 2", torch.float64, CPU)
