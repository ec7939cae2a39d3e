import math

import pytest
import torch

from benchmarks.problems.hamiltonian import HAMILTONIAN_PENDULUM
from benchmarks.problems.oscillators import NOISE, PENDULUM, SPRING, observed

TIMES = torch.linspace(0.0, 3.0, 7, dtype=torch.float64)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("system", [SPRING, PENDULUM])
def test_paths_conserve_the_energy(system):
    paths = system.paths(TIMES, 5, seeded(0))
    assert paths.shape == (7, 5, 2)
    energy = system.energy(paths)
    assert (energy / energy[0] - 1).abs().max() < 1e-9
    assert (paths[1] - paths[0]).norm(dim=-1).min() > 0.05


def test_spring_turns_the_plane_twice_as_fast_as_the_time():
    paths = SPRING.paths(TIMES, 3, seeded(0))
    cos, sin = math.cos(6.0), math.sin(6.0)
    turned = paths[0] @ torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    torch.testing.assert_close(paths[-1], turned, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("system", "least", "largest"), [(SPRING, 0.1, 1.0), (PENDULUM, 1.3, 2.3)])
def test_paths_begin_in_their_ring(system, least, largest):
    radius = system.paths(TIMES[:1], 1000, seeded(0))[0].norm(dim=-1)
    assert least <= radius.min() < least + 0.02
    assert largest - 0.02 < radius.max() <= largest


def test_observations_are_noisy_paths():
    paths = PENDULUM.paths(TIMES, 200, seeded(0))
    errors = observed(paths, seeded(1)) - paths
    assert errors.std().item() == pytest.approx(NOISE, rel=0.05)


def test_field_turns_the_energys_gradient():
    instance = HAMILTONIAN_PENDULUM.build("6-6 batch 4", torch.float64, torch.device("cpu"))
    field, states = instance.field, instance.y0
    gradient = torch.func.grad(lambda y: field.energy(y).sum())(states)
    slope = field(instance.t[0], states)
    assert (gradient * slope).sum(dim=-1).abs().max() < 1e-14  # the energy is conserved
    torch.testing.assert_close(slope, torch.stack((gradient[:, 1], -gradient[:, 0]), dim=-1))
    y = states.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: field(instance.t[0], x), (y,))


def test_loss_compares_with_the_observations_from_the_first_on():
    instance = HAMILTONIAN_PENDULUM.build("6-6 batch 4", torch.float64, torch.device("cpu"))
    assert instance.t.shape == (30,)
    assert torch.equal(instance.y0, instance.loss.trajectory[0])
