"""Second derivatives, forward mode, and the transforms of torch.func over a whole solve."""

import pytest
import torch
import torchdiffeq
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

import symadj
from symadj import errors
from symadj.tableaus import TABLEAUS
from tests.fields import HamiltonianNetwork, Network, gradient_error, largest_difference

# torch's own forward mode warns about its own use of torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

T = torch.tensor([0.0, 0.31, 0.55], dtype=torch.float64)
ADAPTIVE = {"rtol": 1e-4, "atol": 1e-4, "options": {"first_step": 0.1}}
FIXED = {"method": "rk4", "options": {"step_size": 0.1, "interp": "cubic"}}
EXPLICIT = [name for name, tableau in TABLEAUS.items() if tableau.is_explicit]


@pytest.fixture
def net():
    return Network(dim=2, width=3)


@pytest.fixture
def y0():
    return torch.randn(2, dtype=torch.float64)


def parameters(net):
    return {name: value.detach() for name, value in net.named_parameters()}


def loss_of(net, arguments=ADAPTIVE):
    """Return a loss as a function of parameters, initial state and times."""

    def loss(params, y0, t=T):
        field = lambda t, y: functional_call(net, params, (t, y))
        return symadj.odeint(field, y0, t, **arguments).sin().sum()

    return loss


def reference(net, y0, t=T):
    """Return that loss through torchdiffeq, and the leaves it hangs on."""
    y0, t = y0.clone().requires_grad_(), t.clone().requires_grad_()
    options = dict(ADAPTIVE["options"])
    ys = torchdiffeq.odeint(net, y0, t, method="dopri5", **{**ADAPTIVE, "options": options})
    return ys.sin().sum(), (y0, t, *net.parameters())


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("pinned", [False, True])
def test_gradgradcheck_where_steps_are_fixed(net, y0, method, pinned):
    if TABLEAUS[method].is_adaptive:
        options = {"first_step": 0.2, "min_step": 0.2, "max_step": 0.2}
    else:
        options = {} if pinned else {"step_size": 0.2, "interp": "cubic"}
    inputs = (y0.requires_grad_(), T.clone().requires_grad_(), *net.parameters())

    def outputs(y0, t, *_):
        return symadj.odeint(net, y0, t, method=method, options=options)

    assert torch.autograd.gradgradcheck(outputs, inputs)


def test_a_gradient_of_a_gradient_equals_backpropagation_twice(net, y0):
    def twice(loss, inputs):
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), inputs)

    value, inputs = reference(net, y0)
    theirs = twice(value, inputs)
    start, t, *params = inputs
    value = symadj.odeint(net, start, t, **ADAPTIVE).sin().sum()
    assert gradient_error(twice(value, (start, t, *params)), theirs) < 1e-12


def test_a_second_derivative_through_a_field_that_is_a_gradient_itself():
    field = HamiltonianNetwork()
    y0 = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def twice(solve, **arguments):
        ys = solve(field, y0, T, **arguments)
        (first,) = torch.autograd.grad(ys.sin().sum(), y0, create_graph=True)
        return torch.autograd.grad(first.sin().sum(), (y0, *list(field.parameters())[:-1]))

    options = {"step_size": 0.1}
    theirs = twice(torchdiffeq.odeint, method="rk4", options=options)
    assert gradient_error(twice(symadj.odeint, method="rk4", options=options), theirs) < 1e-12


def test_second_derivatives_of_args_and_captured_tensors():
    scale = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    y0 = torch.randn(2, dtype=torch.float64)

    def twice(solve, *, by_args):
        matrix = weight @ weight.T
        if by_args:
            ys = solve(lambda t, y, m: torch.tanh(m @ y) * scale, y0, T, args=(matrix,), **FIXED)
        else:
            ys = solve(lambda t, y: torch.tanh(matrix @ y) * scale, y0, T, **FIXED)
        first = torch.autograd.grad(ys.sin().sum(), (weight, scale), create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), (weight, scale))

    theirs = twice(torchdiffeq.odeint, by_args=False)
    assert gradient_error(twice(symadj.odeint, by_args=True), theirs) < 1e-12


def test_third_derivatives_in_reverse_mode(net, y0):
    inputs = (y0.requires_grad_(), T.clone().requires_grad_(), *net.parameters())

    def thrice(solve):
        value = solve(net, inputs[0], inputs[1], **FIXED).sin().sum()
        for _ in range(2):
            found = torch.autograd.grad(value, inputs, create_graph=True)
            value = sum((g**2).sum() for g in found)
        return torch.autograd.grad(value, inputs)

    assert gradient_error(thrice(symadj.odeint), thrice(torchdiffeq.odeint)) < 1e-11


def test_products_with_the_hessian_by_torch_autograd_functional(net, y0):
    """hvp differentiates a second derivative once more, with respect to its cotangent."""
    direction = torch.randn_like(y0)
    ends = []
    for solve in (symadj.odeint, torchdiffeq.odeint):
        loss = lambda y, solve=solve: solve(net, y, T, **FIXED).sin().sum()
        for product in (torch.autograd.functional.hvp, torch.autograd.functional.vhp):
            ends.append(product(loss, y0, direction)[1])
    assert gradient_error(ends[:2], ends[2:]) < 1e-12


def test_third_derivatives_by_torch_func(net, y0):
    loss, params = loss_of(net, FIXED), parameters(net)
    third = jacrev(hessian(lambda y: loss(params, y)))(y0)
    eps = 1e-5
    direction = torch.tensor([0.6, -0.8], dtype=torch.float64)
    second = hessian(lambda y: loss(params, y))
    estimate = (second(y0 + eps * direction) - second(y0 - eps * direction)) / (2 * eps)
    assert torch.allclose(third @ direction, estimate, rtol=1e-6, atol=1e-8)


def test_torch_func_grad(net, y0):
    value, inputs = reference(net, y0)
    theirs = torch.autograd.grad(value, inputs)
    params, start, times = grad(loss_of(net), argnums=(0, 1, 2))(parameters(net), y0, T)
    assert gradient_error((start, times, *params.values()), theirs) < 1e-12


def test_forward_mode_of_state_time_and_parameters(net, y0):
    value, inputs = reference(net, y0)
    theirs = torch.autograd.grad(value, inputs)
    params = parameters(net)
    tangents = tuple(torch.randn_like(tensor) for tensor in inputs)
    start, times, *others = tangents
    tangent_of = dict(zip(params, others, strict=True))
    _, ours = jvp(loss_of(net), (params, y0, T), (tangent_of, start, times))
    expected = sum((g * v).sum() for g, v in zip(theirs, tangents, strict=True))
    assert torch.allclose(ours, expected, rtol=1e-12, atol=0)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(y0, start)
        ys = symadj.odeint(net, dual, T, **ADAPTIVE)
        ours = forward_ad.unpack_dual(ys.sin().sum()).tangent
    assert torch.allclose(ours, (theirs[0] * start).sum(), rtol=1e-12, atol=0)


def test_hessian_vector_products_forward_over_reverse(net, y0):
    loss, params = loss_of(net), parameters(net)
    direction = torch.randn_like(y0)
    _, ours = jvp(lambda y: grad(loss, argnums=1)(params, y), (y0,), (direction,))
    value, (start, *_) = reference(net, y0)
    (first,) = torch.autograd.grad(value, start, create_graph=True)
    (theirs,) = torch.autograd.grad((first * direction).sum(), start)
    assert gradient_error([ours], [theirs]) < 1e-12


def test_vmap_takes_the_steps_that_the_most_demanding_sample_needs(net):
    y0 = torch.randn(5, 2, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [3.0], [1.0], [0.5]])
    fixed = vmap(lambda y: symadj.odeint(net, y, T, **FIXED))(y0)
    apart = torch.stack([symadj.odeint(net, y, T, **FIXED) for y in y0])
    assert largest_difference([fixed], [apart]) < 1e-14
    tight = {"rtol": 1e-10, "atol": 1e-10}
    together = vmap(lambda y: symadj.odeint(net, y, T, **tight))(y0)
    apart = torch.stack([symadj.odeint(net, y, T, **tight) for y in y0])
    assert (together - apart).abs().max() < 1e-7


def test_an_ensemble_of_networks(net, y0):
    params = parameters(net)
    members = {k: torch.stack([v, v + 0.1, v - 0.2]) for k, v in params.items()}
    loss = loss_of(net, FIXED)
    together = vmap(grad(loss), in_dims=(0, None))(members, y0)
    second = grad(loss)({name: value[1] for name, value in members.items()}, y0)
    assert gradient_error([g[1] for g in together.values()], list(second.values())) < 1e-13


def test_backward_through_vmap(net):
    y0 = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    inputs = (y0, *net.parameters())
    mapped = vmap(lambda y: symadj.odeint(net, y, T, **FIXED))(y0).sin().sum()
    plain = symadj.odeint(net, y0, T, **FIXED).sin().sum()
    assert (
        gradient_error(torch.autograd.grad(mapped, inputs), torch.autograd.grad(plain, inputs))
        < 1e-13
    )


def test_a_batch_of_times_is_refused(net, y0):
    with pytest.raises(errors.UnsupportedError, match="one t for all samples"):
        vmap(lambda t: symadj.odeint(net, y0, t))(torch.stack([T, 2 * T]))


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_a_batch_of_cotangents(net, y0, checkpoints):
    y0.requires_grad_()
    inputs = (y0, *net.parameters())
    end = symadj.odeint(net, y0, T, checkpoints=checkpoints, **ADAPTIVE)[-1]
    rows = torch.eye(2, dtype=torch.float64)
    together = torch.autograd.grad(end, inputs, rows, is_grads_batched=True, retain_graph=True)
    for i in range(2):
        apart = torch.autograd.grad(end, inputs, rows[i], retain_graph=True)
        assert gradient_error([g[i] for g in together], apart) < 1e-14
    field = lambda y: symadj.odeint(net, y, T, **ADAPTIVE)[-1]
    fast = torch.autograd.functional.jacobian(field, y0.detach(), vectorize=True)
    assert gradient_error([fast], [together[0]]) < 1e-14
    loss = lambda y: field(y).sin().sum()
    second = [
        torch.autograd.functional.hessian(loss, y0.detach(), vectorize=vectorize)
        for vectorize in (True, False)
    ]
    assert gradient_error(second[:1], second[1:]) < 1e-14
    outputs = lambda y, t: symadj.odeint(net, y, t, checkpoints=checkpoints, **FIXED)
    t = T.clone().requires_grad_()
    assert torch.autograd.gradcheck(outputs, (y0, t), check_batched_grad=True)


def test_a_transform_leaves_nothing_behind(net, y0):
    """What is cached while a transform is on must serve after it, and the other way round."""
    before = symadj.odeint(net, y0, T, method="bosh3")
    grad(lambda y: symadj.odeint(net, y, T, method="heun3").sum())(y0)
    with torch.inference_mode():
        symadj.odeint(net, y0, T, method="tsit5")
    for method in ("heun3", "tsit5"):
        start = y0.clone().requires_grad_()
        value = symadj.odeint(net, start, T, method=method).sum()
        (first,) = torch.autograd.grad(value, start, create_graph=True)
        first.sum().backward()
        assert torch.isfinite(start.grad).all()
    assert torch.equal(before, symadj.odeint(net, y0, T, method="bosh3"))


def test_events_under_a_transform_are_refused(net, y0):
    def event_time(y):
        return symadj.odeint(net, y, T[:2], event_fn=lambda t, y: t - 0.2)[0]

    with pytest.raises(errors.UnsupportedError, match="reverse mode"):
        grad(event_time)(y0)
