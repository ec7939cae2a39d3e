"""Dense output: the trajectory as a function of time."""

import pytest
import torch

import symadj
from symadj import errors
from symadj.tableaus import TABLEAUS
from tests.fields import Network, gradient_error

ADAPTIVE = [name for name, tableau in TABLEAUS.items() if tableau.is_adaptive]


@pytest.fixture
def net():
    return Network(dim=2, width=3)


@pytest.fixture
def y0():
    return torch.randn(2, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("method", [name for name in ADAPTIVE if name != "bosh3"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_it_agrees_with_odeint_in_values_and_gradients(net, y0, method, sign, checkpoints):
    if checkpoints == "activations" and method in {"trbdf2", "radauIIA5"}:
        pytest.skip("implicit methods keep no graphs")
    common = {"rtol": 1e-4, "atol": 1e-4, "method": method, "options": {"first_step": 0.1}}
    t0 = torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    asked = sign * torch.tensor([[0.7, 0.2], [0.2, 0.0], [1.0, 0.61]], dtype=torch.float64)
    asked.requires_grad_()
    trajectory = symadj.odeint_dense(net, y0, t0, sign, checkpoints=checkpoints, **common)
    ys = trajectory(asked)
    assert ys.shape == (3, 2, 2)

    sorted_times = sign * torch.tensor([0.0, 0.2, 0.61, 0.7, 1.0], dtype=torch.float64)
    times = torch.cat([t0.reshape(1), sorted_times[1:]]).detach().requires_grad_()
    order = torch.tensor([[3, 1], [1, 0], [4, 2]])
    expected = symadj.odeint(net, y0, times, **common)[order]
    assert (ys - expected).abs().max() < 1e-13

    weights = torch.randn_like(ys)
    theirs = torch.autograd.grad((expected * weights).sum(), (y0, times, *net.parameters()))
    ours = torch.autograd.grad((ys * weights).sum(), (y0, t0, asked, *net.parameters()))
    (start, moved, inside), params = ours[:3], ours[3:]
    assert gradient_error((start, *params), (theirs[0], *theirs[2:])) < 1e-12
    by_time = torch.stack([inside[0, 1] + inside[1, 0], inside[2, 1], inside[0, 0], inside[2, 0]])
    assert gradient_error([by_time], [theirs[1][1:]]) < 1e-11
    # An output at the very start is y0 in odeint; here it lies at θ = 0 of the first step.
    assert abs(moved + inside[1, 1] - theirs[1][0]).item() < 1e-10


def test_one_time_at_a_time_and_many_calls(net, y0):
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0)
    first, second = trajectory(0.3), trajectory(torch.tensor(0.8))
    assert first.shape == (2,)
    together = trajectory(torch.tensor([0.3, 0.8], dtype=torch.float64))
    a = torch.autograd.grad(first.sum() + second.sum(), (y0, *net.parameters()))
    b = torch.autograd.grad(together.sum(), (y0, *net.parameters()))
    assert (together[0] - first).abs().max() < 1e-15
    assert gradient_error(a, b) < 1e-7  # torch.tensor(0.8) is of float32


def test_nested_states_and_args(y0):
    field = lambda t, y, rate: {"x": -rate * y["x"]}
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    trajectory = symadj.odeint_dense(field, {"x": y0}, 0.0, 1.0, args=(rate,))
    y = trajectory(torch.tensor([0.5, 0.25]))["x"]
    y.sum().backward()
    times = torch.tensor([0.5, 0.25], dtype=torch.float64)
    exact = -(times * torch.exp(-0.5 * times)).sum() * y0.detach().sum()
    assert abs(rate.grad - exact).item() < 1e-6


def test_fixed_steps_have_it_too(net, y0):
    options = {"step_size": 0.1, "interp": "cubic"}
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0, method="rk4", options=options)
    t = torch.tensor([0.0, 0.33, 1.0], dtype=torch.float64)
    expected = symadj.odeint(net, y0, t, method="rk4", options=options)
    assert (trajectory(t) - expected).abs().max() < 1e-13
    ours = torch.autograd.grad(trajectory(t).sum(), (y0, *net.parameters()))
    theirs = torch.autograd.grad(expected.sum(), (y0, *net.parameters()))
    assert gradient_error(ours, theirs) < 1e-12


def test_times_outside_are_refused(net, y0):
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0)
    for time in (-0.1, 9.0):
        with pytest.raises(errors.InvalidTimesError, match="outside of what was solved"):
            trajectory(time)


def test_second_derivatives(net, y0):
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0, options={"first_step": 0.1})
    t = torch.tensor([0.0, 0.4, 0.9], dtype=torch.float64)

    def twice(ys):
        (first,) = torch.autograd.grad(ys.sin().sum(), y0, create_graph=True)
        return torch.autograd.grad((first**2).sum(), (y0, *list(net.parameters())[:-1]))

    expected = symadj.odeint(net, y0, t, options={"first_step": 0.1})
    assert gradient_error(twice(trajectory(t)), twice(expected)) < 1e-12


def test_bosh3_is_as_accurate_inside_its_steps_as_at_their_ends(net, y0):
    """odeint's outputs with it are torchdiffeq's, and good to first order only."""
    t = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    exact = symadj.odeint_dense(net, y0, 0.0, 1.0, rtol=1e-10, atol=1e-10)(t)
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0, method="bosh3", rtol=1e-5, atol=1e-5)
    assert (trajectory(t) - exact).abs().max() < 1e-4
    ours = torch.autograd.grad(trajectory(t).sum(), (y0, *net.parameters()))
    theirs = torch.autograd.grad(exact.sum(), (y0, *net.parameters()))
    assert gradient_error(ours, theirs) < 1e-4


def test_an_empty_question_has_an_empty_answer(net, y0):
    assert symadj.odeint_dense(net, y0, 0.0, 1.0)(torch.zeros(0, 2)).shape == (0, 2, 2)


def test_parameters_edited_after_the_solve_are_noticed(net, y0):
    trajectory = symadj.odeint_dense(net, y0, 0.0, 1.0)
    with torch.no_grad():
        before = trajectory(0.5)
        net.inner.weight.add_(1.0)
        assert torch.equal(trajectory(0.5), before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        trajectory(0.5)
