"""Tensors that f reads without being given them are found, or refused: never dropped."""

import pytest
import torch
from torch import nn

import symadj
from symadj.errors import CapturedTensorError
from tests.fields import Network

T = torch.tensor([0.0, 1.0], dtype=torch.float64)


def scalar(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def test_leaves_in_a_closure_are_found():
    a, b = scalar(0.3), scalar(0.2)
    y0 = torch.ones(1, dtype=torch.float64)
    symadj.odeint(lambda t, y: -a * y + b.sin(), y0, T)[-1].backward()
    mine = a.grad.clone(), b.grad.clone()
    symadj.odeint(lambda t, y: -a * y + b.sin(), y0, T, adjoint_params=(a, b))[-1].backward()
    assert torch.equal(2 * mine[0], a.grad)
    assert torch.equal(2 * mine[1], b.grad)
    assert mine[1] > 0


def test_leaves_beside_the_parameters_of_a_module_are_found():
    class Scaled(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.network = Network()
            self.scale = [scale]  # in a list: no parameter, no buffer

        def forward(self, t, y):
            return self.scale[0] * self.network(t, y)

    scale = scalar(0.5)
    field = Scaled(scale)
    symadj.odeint(field, torch.ones(3, dtype=torch.float64), T)[-1].sum().backward()
    assert scale.grad != 0
    assert all(p.grad is not None for p in field.parameters())


def test_a_module_called_by_a_plain_function():
    network = Network()
    ys = symadj.odeint(lambda t, y: network(t, y), torch.ones(3, dtype=torch.float64), T)
    ys[-1].sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_leaf_that_is_itself_the_slope():
    slope = torch.ones(2, dtype=torch.float64, requires_grad=True)
    symadj.odeint(lambda t, y: slope, torch.zeros(2, dtype=torch.float64), T)[-1].sum().backward()
    assert torch.allclose(slope.grad, torch.ones(2, dtype=torch.float64))


def test_a_tensor_with_a_history_is_refused_until_it_is_named():
    weight = scalar(0.3)
    context = torch.exp(weight)

    def field(t, y):
        return -context * y

    y0 = torch.ones(1, dtype=torch.float64)
    with pytest.raises(CapturedTensorError, match=r"ExpBackward0.*adjoint_params"):
        symadj.odeint(field, y0, T)
    symadj.odeint(field, y0, T, adjoint_params=(context,))[-1].backward()
    exact = -torch.exp(weight) * torch.exp(-torch.exp(weight))
    assert torch.allclose(weight.grad, exact.detach(), rtol=1e-5)


def test_detaching_is_the_other_way_out():
    context = torch.exp(scalar(0.3)).detach()
    ys = symadj.odeint(lambda t, y: -context * y, torch.ones(1, dtype=torch.float64), T)
    assert not ys.requires_grad


def test_parametrized_modules_have_their_own_parameters_found():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3, dtype=torch.float64))
    ys = symadj.odeint(lambda t, y: layer(y), torch.ones(3, dtype=torch.float64), T)
    ys[-1].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
