"""Tensors that f reads without being given them are found, or refused: never dropped."""

import builtins
import functools

import pytest
import torch
import torchdiffeq
from torch import nn

import symadj
from symadj import errors
from symadj.errors import CapturedTensorError
from symadj.sources import named_tensors
from tests.fields import Network, largest_difference

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


def test_a_tensor_with_a_history_is_found_in_a_closure():
    weight = scalar(0.3)
    context = torch.exp(weight)
    y0 = torch.ones(1, dtype=torch.float64)
    symadj.odeint(lambda t, y: -context * y, y0, T)[-1].backward()
    exact = -torch.exp(weight) * torch.exp(-torch.exp(weight))
    assert torch.allclose(weight.grad, exact.detach(), rtol=1e-5)


def test_a_tensor_with_a_history_out_of_reach_is_refused_until_it_is_named():
    context = torch.exp(scalar(0.3))
    builtins.hidden_from_symadj = context
    by_name = vars(builtins)["eval"]
    field = lambda t, y: -by_name("hidden_from_symadj") * y
    y0 = torch.ones(1, dtype=torch.float64)
    with pytest.raises(CapturedTensorError, match=r"ExpBackward0.*args=.*adjoint_params"):
        symadj.odeint(field, y0, T)
    ys = symadj.odeint(field, y0, T, adjoint_params=(context,))
    assert ys.requires_grad
    del builtins.hidden_from_symadj


def test_what_would_be_mixed_up_is_refused_not_wrong():
    """f reads a tensor, and another one that was computed from it."""
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    square = weight @ weight.T
    with pytest.raises(CapturedTensorError, match="args="):
        symadj.odeint(lambda t, y: square @ y + weight @ y, torch.ones(2).double(), T)


def test_a_source_in_reach_that_is_not_read_itself_does_no_harm():
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    square = weight @ weight.T
    y0 = torch.ones(2, dtype=torch.float64)
    field = lambda t, y: torch.tanh(square @ y) if t < 10 else weight @ y
    options = {"step_size": 0.1}
    results = [
        torch.autograd.grad(
            solve(field, y0, T, method="rk4", options=options).sum(), weight, retain_graph=True
        )
        for solve in (symadj.odeint, torchdiffeq.odeint)
    ]
    assert largest_difference(*results) < 1e-12


def test_a_computed_tensor_that_another_time_reads():
    base = torch.randn(2, dtype=torch.float64, requires_grad=True)
    y0 = torch.ones(2, dtype=torch.float64)
    options = {"step_size": 0.1}
    results = []
    for solve in (symadj.odeint, torchdiffeq.odeint):
        rate = base.sin()
        field = lambda t, y, rate=rate: rate * y if t > 0.5 else -y
        ys = solve(field, y0, T, method="rk4", options=options)
        results.append(torch.autograd.grad(ys.sum(), base))
    assert largest_difference(*results) < 1e-12


def test_an_inner_solve_reads_the_outer_state():
    rate = scalar(0.3)
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    options = {"step_size": 0.25}
    results = []
    for solve in (symadj.odeint, torchdiffeq.odeint):

        def outer(t, y, solve=solve):
            inner = lambda s, z: torch.tanh(z) * rate + y
            return solve(inner, torch.zeros_like(y), T, method="rk4", options=options)[-1]

        ys = solve(outer, y0, T, method="rk4", options=options)
        results.append(torch.autograd.grad(ys.sin().sum(), (y0, rate)))
    assert largest_difference(*results) < 1e-12


def test_hooks_see_the_whole_gradient_once():
    net, seen = Network(), []
    net.inner.weight.register_hook(lambda g: seen.append(g.clone()) or 2 * g)
    y0 = torch.ones(3, dtype=torch.float64)
    symadj.odeint(net, y0, T)[-1].sum().backward()
    assert len(seen) == 1
    assert torch.equal(net.inner.weight.grad, 2 * seen[0])


def test_detaching_is_the_other_way_out():
    context = torch.exp(scalar(0.3)).detach()
    ys = symadj.odeint(lambda t, y: -context * y, torch.ones(1, dtype=torch.float64), T)
    assert not ys.requires_grad


def test_parametrized_modules_have_their_own_parameters_found():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3, dtype=torch.float64))
    ys = symadj.odeint(lambda t, y: layer(y), torch.ones(3, dtype=torch.float64), T)
    ys[-1].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_a_tensor_that_another_time_reads_gets_its_gradient():
    early = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    late = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    never = torch.ones(2, dtype=torch.float64, requires_grad=True)

    def field(t, y):
        if t > 10:
            return never
        return early * y if t < 0.5 else late * y

    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    options = {"step_size": 0.1}
    y0 = torch.ones(2, dtype=torch.float64)
    loss = symadj.odeint(field, y0, t, method="rk4", options=options)[-1].sum()
    with torch.no_grad():
        never.mul_(2.0)  # not read: it may be edited
    loss.backward()
    ys = torchdiffeq.odeint(field, y0, t, method="rk4", options=options)
    theirs = torch.autograd.grad(ys[-1].sum(), (early, late))
    assert largest_difference((early.grad, late.grad), theirs) < 1e-12
    assert never.grad is None


def test_a_tensor_that_another_time_reads_and_that_was_edited_is_noticed():
    late = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    field = lambda t, y: -y if t < 0.5 else late * y
    options = {"step_size": 0.1}
    y0 = torch.ones(2, dtype=torch.float64)
    loss = symadj.odeint(field, y0, T, method="rk4", options=options)[-1].sum()
    with torch.no_grad():
        late.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_tensor_that_is_out_of_reach_at_first_is_refused_backward():
    hidden = {"late": torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)}
    import_by_name = vars(builtins)["eval"]
    builtins.hidden_from_symadj = hidden

    def field(t, y):
        return -y if t < 0.5 else import_by_name("hidden_from_symadj")["late"] * y

    options = {"step_size": 0.1}
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    loss = symadj.odeint(field, y0, T, method="rk4", options=options)[-1].sum()
    with pytest.raises(errors.CapturedTensorError, match="did not read at first"):
        loss.backward()
    del builtins.hidden_from_symadj


class Holder:
    """An object whose method is the field."""

    def __init__(self):
        self.rates = [torch.tensor(0.3, dtype=torch.float64, requires_grad=True)]
        self.net = Network(dim=2, width=3)

    def field(self, t, y):
        return self.net(t, y) if t > 0.4 else self.rates[0] * y


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial, lambda f: lambda t, y: f(t, y)])
def test_attributes_of_a_bound_method_are_in_reach(wrap):
    holder = Holder()
    y0 = torch.ones(2, dtype=torch.float64)
    inputs = (holder.rates[0], *holder.net.parameters())
    options = {"step_size": 0.1}
    ours = symadj.odeint(wrap(holder.field), y0, T, method="rk4", options=options)
    theirs = torchdiffeq.odeint(holder.field, y0, T, method="rk4", options=options)
    assert (
        largest_difference(
            torch.autograd.grad(ours.sin().sum(), inputs),
            torch.autograd.grad(theirs.sin().sum(), inputs),
        )
        < 1e-12
    )


def test_args_get_gradients_whatever_their_history():
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    y0 = torch.randn(2, dtype=torch.float64)
    field = lambda t, y, square, more: torch.tanh(square @ y) + more["w"] @ y
    options = {"step_size": 0.1}

    def gradient(solve):
        square = weight @ weight.T  # computed from what is handed over too
        return torch.autograd.grad(solve(square, {"w": weight}).sin().sum(), weight)

    ours = gradient(
        lambda *args: symadj.odeint(field, y0, T, args=args, method="rk4", options=options)
    )
    theirs = gradient(
        lambda *args: torchdiffeq.odeint(
            lambda t, y: field(t, y, *args), y0, T, method="rk4", options=options
        )
    )
    assert largest_difference(ours, theirs) < 1e-12


def test_named_tensors_that_hang_on_one_another_are_refused():
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    square = weight @ weight.T
    field = lambda t, y: torch.tanh(square @ y) + weight @ y
    with pytest.raises(errors.CapturedTensorError, match="args="):
        symadj.odeint(field, torch.ones(2).double(), T, adjoint_params=(square, weight))
    with pytest.raises(errors.InvalidTypeError, match=r"args=\(value,\)"):
        symadj.odeint(field, torch.ones(2).double(), T, args=square)


class Renaming(nn.Module):
    """Tells of one of its parameters alone."""

    def __init__(self):
        super().__init__()
        self.told, self.untold = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def named_parameters(self, *args, **kwargs):
        yield "told", self.told


class Hiding(nn.Module):
    """Says that there is no module in it, nor itself."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def named_modules(self, *args, **kwargs):
        return iter(())


def test_parameters_of_a_module_are_those_that_it_tells_of():
    shared = nn.Linear(2, 2)
    tied = nn.Sequential(shared, nn.Sequential(shared, nn.Linear(2, 3)), nn.Linear(3, 2))
    tied[2].weight = nn.Parameter(tied[1][1].weight.detach().T.clone())
    tied[2].bias.requires_grad_(False)
    tied[1].register_parameter("none", None)
    tied[1].register_module("nothing", None)
    for module in (tied, Renaming(), nn.Sequential(nn.Linear(2, 2), Hiding(), Renaming())):
        wanted = [param for param in module.parameters() if param.requires_grad]
        found = named_tensors(module, None)
        assert [id(param) for param in found] == [id(param) for param in wanted]
