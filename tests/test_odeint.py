"""The front door: what goes in, what comes out, and what is said when it cannot be done."""

import math
import warnings

import pytest
import torch
from torch import nn

import symadj
from symadj import errors
from tests.fields import Network, relative_difference

T = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)


def decay(t, y):
    return -y


def ones(*shape, dtype=torch.float64):
    return torch.ones(shape, dtype=dtype)


def test_the_public_surface_is_what_all_says():
    assert set(symadj.__all__) == {
        "DenseOutput",
        "Solution",
        "Stats",
        "SymadjError",
        "odeint",
        "odeint_adjoint",
        "odeint_dense",
        "odeint_event",
        "odeint_symplectic_adjoint",
        "solve",
    }
    assert all(hasattr(symadj, name) for name in symadj.__all__)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes_go_through(shape, dtype):
    y0 = torch.ones(shape, dtype=dtype, requires_grad=True)
    ys = symadj.odeint(decay, y0, T, rtol=1e-6, atol=1e-6)
    assert ys.shape == (3, *shape)
    assert ys.dtype == dtype
    ys[-1].sum().backward()
    assert torch.allclose(y0.grad, torch.full_like(y0, math.exp(-1)), rtol=1e-5)


def test_complex_states():
    y0 = torch.tensor([1.0 + 0.5j, -0.3j], dtype=torch.complex128, requires_grad=True)
    rate = torch.tensor(0.7 + 1.1j, dtype=torch.complex128, requires_grad=True)
    ys = symadj.odeint(lambda t, y: rate * y, y0, T)
    assert relative_difference(ys[-1], y0 * torch.exp(rate)) < 1e-6
    mine = torch.autograd.grad(ys[-1].abs().pow(2).sum(), (y0, rate))
    exact = torch.autograd.grad((y0 * torch.exp(rate)).abs().pow(2).sum(), (y0, rate))
    assert relative_difference(mine[0], exact[0]) < 1e-6
    assert relative_difference(mine[1], exact[1]) < 1e-6


def test_a_state_that_is_not_contiguous():
    base = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    network = Network(dim=4)
    ys = symadj.odeint(network, base.T, T)
    (through_view,) = torch.autograd.grad(ys[-1].sum(), base)
    copy = base.T.contiguous().detach().requires_grad_()
    (direct,) = torch.autograd.grad(symadj.odeint(network, copy, T)[-1].sum(), copy)
    assert torch.equal(through_view, direct.T)


def test_tuple_in_tuple_out():
    y0 = (ones(2), ones())
    ys = symadj.odeint(lambda t, state: (-state[0], -2 * state[1]), y0, T)
    assert [tuple(part.shape) for part in ys] == [(3, 2), (3,)]


def test_no_graph_is_kept_where_none_is_wanted():
    with torch.no_grad():
        assert not symadj.odeint(Network(), ones(3), T).requires_grad
    assert not symadj.odeint(decay, ones(3), T).requires_grad


def test_solution_tells_what_it_cost():
    solution = symadj.solve(decay, ones(3), T, rtol=1e-3, atol=1e-3)
    assert torch.equal(solution.ts, T)
    stats = solution.stats
    assert stats.num_accepted == len(solution.steps) > 0
    # Two evaluations choose the first step, each step tried takes six.
    assert stats.nfe_forward == 2 + 6 * (stats.num_accepted + stats.num_rejected)
    assert solution.steps[-1].stretch.t1 >= 1.0


def test_parameters_that_the_field_does_not_use_get_zeros():
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used = nn.Parameter(ones())
            self.unused = nn.Parameter(ones(2))
            self.frozen = nn.Parameter(ones(), requires_grad=False)

        def forward(self, t, y):
            return -self.used * self.frozen * y

    field = Partly()
    symadj.odeint(field, ones(3), T)[-1].sum().backward()
    assert torch.equal(field.unused.grad, torch.zeros(2, dtype=torch.float64))
    assert field.used.grad != 0
    assert field.frozen.grad is None


def test_a_field_without_state_or_parameters():
    y0 = ones(2).requires_grad_()
    t = T.clone().requires_grad_()
    ys = symadj.odeint(lambda t, y: torch.ones_like(y) * 3, y0, t)
    ys[-1].sum().backward()
    assert torch.allclose(y0.grad, ones(2))
    assert torch.allclose(t.grad, torch.tensor([-6.0, 0.0, 6.0], dtype=torch.float64))


def test_adjoint_params_name_exactly_what_gets_a_gradient():
    field = Network()
    ys = symadj.odeint(field, ones(3), T, adjoint_params=[field.inner.weight])
    ys[-1].sum().backward()
    assert field.inner.weight.grad is not None
    assert field.outer.weight.grad is None


def test_lower_precision_slopes_are_taken_up_into_the_state():
    """As autocast makes them: the network computes in bfloat16, the state stays float32."""
    weight = torch.tensor(-1.0, requires_grad=True)
    y0 = torch.ones(3, requires_grad=True)

    def field(t, y):
        return (weight.bfloat16() * y.bfloat16()).to(torch.bfloat16)

    ys = symadj.odeint(field, y0, T.float(), method="rk4")
    assert ys.dtype == torch.float32
    ys[-1].sum().backward()
    assert torch.allclose(weight.grad, torch.tensor(3 * math.exp(-1)), rtol=0.05)


# What is refused, and how.


@pytest.mark.parametrize(
    ("t", "error", "said"),
    [
        ([0.0, 1.0], errors.InvalidTypeError, "pass torch.tensor"),
        (torch.tensor([0, 1]), errors.InvalidTypeError, "floating point"),
        (torch.tensor(1.0), errors.InvalidTimesError, "shape"),
        (torch.tensor([]), errors.InvalidTimesError, "at least one"),
        (torch.tensor([0.0, 1.0, 0.5]), errors.InvalidTimesError, "strictly"),
        (torch.tensor([0.0, 0.5, 0.5]), errors.InvalidTimesError, "repeated"),
        (torch.tensor([0.0, math.nan]), errors.InvalidTimesError, "NaN"),
        (torch.arange(20.0).roll(1), errors.InvalidTimesError, "..."),
    ],
)
def test_times_that_are_refused(t, error, said):
    with pytest.raises(error, match=said.replace(".", r"\.")):
        symadj.odeint(decay, ones(2), t)


@pytest.mark.parametrize(
    ("y0", "error", "said"),
    [
        (torch.tensor([1, 2]), errors.InvalidTypeError, "floating point"),
        (1.0, errors.InvalidTypeError, "torch.as_tensor"),
        ([torch.ones(2), 1.0], errors.InvalidTypeError, "holds a float"),
        (torch.ones(0), errors.InvalidInputError, "no element"),
        ((torch.ones(2), torch.ones(2).double()), errors.InvalidInputError, "one dtype"),
    ],
)
def test_states_that_are_refused(y0, error, said):
    with pytest.raises(error, match=said):
        symadj.odeint(decay, y0, T)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"method": "dopri"}, errors.UnknownMethodError, "did you mean 'dopri"),
        ({"options": {"firststep": 1}}, errors.UnknownOptionError, "did you mean 'first_step'"),
        ({"options": {"step_size": 0.1}}, errors.UnknownOptionError, "adaptive method 'dopri5'"),
        ({"options": {"first_step": -0.1}}, errors.InvalidInputError, "positive"),
        ({"options": {"min_step": 2.0, "max_step": 1.0}}, errors.InvalidInputError, "min_step <="),
        ({"method": "rk4", "options": {"interp": "spline"}}, errors.InvalidInputError, "cubic"),
        ({"method": "rk4", "options": {"max_step": 1}}, errors.UnknownOptionError, "fixed-step"),
        (
            {"method": "rk4", "options": {"step_size": 1, "grid_constructor": decay}},
            errors.InvalidInputError,
            "both",
        ),
        (
            {"method": "rk4", "options": {"grid_constructor": lambda f, y, t: t[:-1]}},
            errors.InvalidTimesError,
            "ends at",
        ),
        ({"rtol": -1.0}, errors.InvalidInputError, "at least 0"),
        ({"rtol": (1e-3, 1e-3)}, errors.InvalidInputError, "nested state"),
        ({"checkpoints": "all"}, errors.InvalidInputError, "stages"),
        ({"adjoint_params": ["weight"]}, errors.InvalidTypeError, "parameters"),
    ],
    ids=str,
)
def test_arguments_that_are_refused(arguments, error, said):
    with pytest.raises(error, match=said) as caught:
        symadj.odeint(decay, ones(2), T, **arguments)
    assert isinstance(caught.value, symadj.SymadjError)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (lambda t, y: y.sum(), "own shape"),
        (lambda t, y: 1.0, "float"),
        (lambda t, y: (y, y), "tuple"),
        (lambda t, y: y * 1j, "imaginary"),
    ],
)
def test_slopes_that_are_refused(field, said):
    with pytest.raises(errors.InvalidSlopeError, match=said):
        symadj.odeint(field, ones(2), T)


def test_a_tuple_state_needs_a_tuple_slope():
    with pytest.raises(
        errors.InvalidSlopeError, match="like that of y0, \\(\\*, \\*\\), and returned \\*"
    ):
        symadj.odeint(lambda t, state: state[0], (ones(2), ones(2)), T)


# What goes wrong on the way.


@pytest.mark.parametrize("method", ["dopri5", "dopri8", "rk4", "fehlberg2"])
def test_a_field_that_becomes_nan(method):
    def field(t, y):
        return torch.where(t > 0.7, torch.nan, -y)

    options = {"step_size": 0.1} if method == "rk4" else {}
    with pytest.raises(errors.NonFiniteError, match="must be finite") as caught:
        symadj.odeint(field, ones(2), T, method=method, options=options, rtol=1e-4, atol=1e-4)
    assert caught.value.t <= 0.7 + 1e-12  # the last step may end where f is NaN
    assert torch.isfinite(caught.value.y).all()
    assert torch.allclose(
        caught.value.y, torch.exp(torch.tensor(-caught.value.t)).double(), rtol=1e-2
    )


def test_a_field_that_is_nan_from_the_start():
    with pytest.raises(errors.NonFiniteError, match=r"f\(t0, y0\)"):
        symadj.odeint(lambda t, y: y / 0 - y / 0, ones(2), T)
    with pytest.raises(errors.NonFiniteError, match="y0 holds"):
        symadj.odeint(decay, ones(2) * math.nan, T)
    with pytest.raises(errors.NonFiniteError):
        symadj.odeint(lambda t, y: y * math.nan, ones(2), T, options={"first_step": 0.1})
    with pytest.raises(errors.NonFiniteError):
        symadj.odeint(
            lambda t, y: y * math.nan, ones(2), T, options={"first_step": 0.1, "min_step": 0.01}
        )


def test_a_step_that_leaves_the_domain_of_f_is_tried_smaller():
    """Here torchdiffeq ends with 'underflow in dt nan'."""

    def field(t, y):
        return -torch.sqrt(y)  # of a negative number where the step is too large

    y0 = ones(1)
    ys = symadj.odeint(field, y0, T, options={"first_step": 4.0})
    assert abs(ys[-1].item() - 0.25) < 1e-6


def test_a_solution_that_blows_up():
    with pytest.raises((errors.StepUnderflowError, errors.NonFiniteError)) as caught:
        symadj.odeint(lambda t, y: y**2, ones(1), torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert abs(caught.value.t - 1.0) < 1e-3


def test_a_tolerance_that_cannot_be_met():
    def field(t, y):
        # Another slope at every evaluation, however close: the error falls no faster than the step.
        calls.append(t)
        return torch.full_like(y, 1e6 * (-1) ** len(calls))

    calls = []
    with pytest.raises(errors.StepUnderflowError, match="loosen rtol"):
        symadj.odeint(field, ones(1), T + 1, rtol=0.0, atol=1e-25)


def test_too_many_steps():
    with pytest.raises(errors.MaxStepsError, match="max_num_steps = 3") as caught:
        symadj.odeint(decay, ones(1), T, options={"max_num_steps": 3, "first_step": 1e-6})
    assert 0 < caught.value.t < 0.5


def test_every_error_is_in_the_tree():
    raised = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and not issubclass(value, Warning)
    ]
    assert len(raised) > 10
    assert all(issubclass(error, errors.SymadjError) for error in raised)
    assert all(error.__name__ in errors.__doc__ for error in raised)


def test_a_state_changed_in_place_is_refused():
    def field(t, y):
        y.mul_(1.01)
        return -y

    with pytest.raises(errors.InvalidSlopeError, match="in place"):
        symadj.odeint(field, ones(2), T)


def test_a_slope_of_integers_is_taken_as_it_is_meant():
    ys = symadj.odeint(lambda t, y: torch.ones(2, dtype=torch.long), ones(2), T)
    assert torch.allclose(ys[-1], 1 + (T[-1] - T[0]).to(ys))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_call_inside_a_compiled_function(backend):
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    call = lambda y: symadj.odeint(lambda t, y: -rate * y, 2 * y, T.double())[-1].sin().sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about itself
        compiled = torch.compile(call, backend=backend)(y0)
    ours = torch.autograd.grad(compiled, (y0, rate))
    theirs = torch.autograd.grad(call(y0), (y0, rate))
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.skipif(
    not hasattr(torch._C._dynamo.eval_frame, "get_eval_frame_callback"),
    reason="an older torch does not tell whether it compiles",
)
def test_nothing_of_a_solve_is_compiled_where_torch_gives_up_on_its_caller():
    watchers = []

    def func(t, y):
        watchers.append(torch._C._dynamo.eval_frame.get_eval_frame_callback())
        return -y

    t = torch.tensor([0.0, 1.0])
    with torch._dynamo.config.patch(recompile_limit=1):
        call = torch.compile(
            lambda y0, rtol: symadj.odeint(func, y0, t, rtol=rtol), backend="eager"
        )
        for n in range(1, 5):
            call(torch.ones(n), 10.0**-n)
    assert len(watchers) > 4
    assert all(watcher is None for watcher in watchers)
