"""Where steps end: prescribed times, jumps, outputs, bounds; the dtype of time; PID control."""

import math

import pytest
import torch
import torchdiffeq

import symadj
from symadj import errors
from tests.fields import Network, gradient_error

T = torch.tensor([0.0, 0.31, 0.8, 1.4], dtype=torch.float64)


def scalar(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def net():
    return Network(dim=2, width=3)


@pytest.fixture
def y0():
    return torch.randn(2, dtype=torch.float64, requires_grad=True)


def both(field, y0, t, inputs, **options):
    """Return outputs and gradients of symadj and of torchdiffeq, dopri5."""
    results = []
    for solve in (symadj.odeint, torchdiffeq.odeint):
        ys = solve(field, y0, t, method="dopri5", rtol=1e-4, atol=1e-4, options=dict(options))
        results.append((ys, torch.autograd.grad(ys.sin().sum(), inputs)))
    return results


@pytest.mark.parametrize("sign", [1, -1])
def test_prescribed_step_ends_are_those_of_torchdiffeq(net, y0, sign):
    t = (sign * T).requires_grad_()
    step_t = sign * torch.tensor([0.9, 0.2, 0.5, -3.0], dtype=torch.float64)
    ours, theirs = both(net, y0, t, (y0, t, *net.parameters()), first_step=0.1, step_t=step_t)
    assert torch.equal(ours[0], theirs[0])
    assert gradient_error(ours[1], theirs[1]) < 1e-12
    options = {"first_step": 0.1, "step_t": step_t}
    ends = [step.stretch.t1 for step in symadj.solve(net, y0, t, options=options).steps]
    assert {sign * 0.2, sign * 0.5, sign * 0.9} <= set(ends)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "tsit5", "adaptive_heun"])
def test_the_gradient_across_a_jump(method, sign):
    before, after = scalar(0.7), scalar(-1.3)
    field = lambda t, y: before * y if sign * t < 0.5 else after * y * y
    y0 = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    t = sign * torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    options = {"jump_t": torch.tensor([sign * 0.5], dtype=torch.float64)}
    arguments = {"method": method, "rtol": 1e-9, "atol": 1e-9, "options": options}
    solution = symadj.solve(field, y0, t, **arguments)
    # y' = a y, then y' = b y²: y = y(0.5) / (1 - b y(0.5) (t - 0.5)).
    middle = y0 * torch.exp(sign * before * 0.5)
    exact = middle / (1 - sign * after * middle * 0.5)
    inputs = (y0, before, after)
    assert abs(solution.ys[-1] - exact).item() < 1e-5
    assert (
        gradient_error(
            torch.autograd.grad(solution.ys[-1], inputs), torch.autograd.grad(exact, inputs)
        )
        < 1e-5
    )
    assert sign * 0.5 in [step.stretch.t1 for step in solution.steps]


@pytest.mark.parametrize("method", ["dopri5", "dopri8"])
def test_a_jump_stays_where_it_is_when_the_initial_time_moves(method):
    field = lambda t, y: 0.7 * y if t < 0.5 else -1.3 * y
    y0 = torch.ones(1, dtype=torch.float64)
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    options = {"jump_t": [0.5]}
    ys = symadj.odeint(field, y0, t, method=method, rtol=1e-10, atol=1e-10, options=options)
    ours = torch.autograd.grad(ys[-1], t, retain_graph=True)[0]
    end = ys[-1].item()
    exact = torch.tensor([-0.7 * end, 0.0, -1.3 * end], dtype=torch.float64)
    assert (ours - exact).abs().max() < 1e-5  # dy/dt of an interpolant of degree 4
    (first,) = torch.autograd.grad(ys[-1], t, create_graph=True)
    second = torch.autograd.grad(first[0], t)[0]
    assert abs(second[0].item() - 0.49 * end) < 1e-5
    assert abs(second[2].item() - 0.7 * 1.3 * end) < 1e-5


def test_a_jump_as_torchdiffeq_takes_it():
    before, after = scalar(0.7), scalar(-1.3)
    field = lambda t, y: before * y if t < 0.5 else after * y
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    jump_t = torch.tensor([0.5], dtype=torch.float64)
    ours, theirs = both(field, y0, T, (y0, before, after), first_step=0.1, jump_t=jump_t)
    assert torch.equal(ours[0], theirs[0])
    assert gradient_error(ours[1], theirs[1]) < 1e-12


def test_a_step_that_arrives_at_a_jump_by_itself_looks_beyond_it_next():
    """torchdiffeq then goes on with the slope from before the jump."""
    seen = []

    def field(t, y):
        seen.append(t.item())
        return torch.where(t < 0.5, 1.0, -1.0) * torch.ones_like(y)

    options = {"first_step": 0.5, "jump_t": [0.5]}
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    ys = symadj.odeint(field, torch.zeros(1, dtype=torch.float64), t, options=options)
    assert abs(ys[-1].item()) < 1e-12
    assert math.nextafter(0.5, 1.0) in seen


@pytest.mark.parametrize("sign", [1, -1])
def test_steps_that_end_at_each_output(net, y0, sign):
    t = sign * T
    solution = symadj.solve(net, y0, t, options={"output": "step"})
    assert [step.stretch.t1 for step in solution.steps if step.thetas] == t[1:].tolist()
    assert solution.steps[-1].stretch.t1 == t[-1].item()
    interpolated = symadj.odeint(net, y0, t)
    assert (solution.ys - interpolated).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step_t": [0.5], "jump_t": [0.5]}, "share"),
        ({"step_t": [0.5, 0.5]}, "once"),
        ({"jump_t": [math.inf]}, "finite"),
        ({"output": "both"}, "interpolate"),
        ({"dtype": torch.float16}, "float32"),
    ],
)
def test_options_that_cannot_be(net, y0, options, said):
    with pytest.raises(errors.InvalidInputError, match=said):
        symadj.odeint(net, y0, T, options=options)


def test_what_only_chooses_the_steps_has_no_gradient_and_says_so(net, y0):
    jump = scalar(0.5)
    with pytest.raises(errors.UnsupportedError, match=r"jump_t.*t has a gradient"):
        symadj.odeint(net, y0, T, options={"jump_t": jump.reshape(1)})
    with pytest.raises(errors.UnsupportedError, match="rtol"):
        symadj.odeint(net, y0, T, rtol=scalar(1e-3))


def test_the_gradient_of_the_time_of_a_jump_by_two_solves():
    """What the message above advises."""
    jump = scalar(0.5)
    y0 = torch.ones(1, dtype=torch.float64)
    start, end = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    middle = symadj.odeint(lambda t, y: 0.7 * y, y0, torch.cat([start, jump.reshape(1)]))[-1]
    y1 = symadj.odeint(lambda t, y: -1.3 * y, middle, torch.cat([jump.reshape(1), end]))[-1]
    y1.backward()
    exact = 2.0 * math.exp(0.7 * 0.5 - 1.3 * 0.5)
    assert abs(jump.grad.item() - exact) < 1e-6


def test_bounds_on_steps_are_those_of_torchdiffeq(net, y0):
    bounds = {
        "first_step": 0.02,
        "min_step": 0.01,
        "max_step": 0.05,
        "safety": 0.8,
        "ifactor": 3.0,
        "dfactor": 0.5,
    }
    ours, theirs = both(net, y0, T, (y0, *net.parameters()), **bounds)
    assert torch.equal(ours[0], theirs[0])
    assert gradient_error(ours[1], theirs[1]) < 1e-12


def test_float32_time(net):
    net = net.float()
    y0 = torch.randn(2, requires_grad=True)
    options = {"dtype": torch.float32}
    solution = symadj.solve(net, y0, T.float(), rtol=1e-4, atol=1e-4, options=options)
    for step in solution.steps:
        for time in (step.stretch.t0, step.stretch.t1, step.stretch.h):
            assert time == torch.tensor(time, dtype=torch.float32).item()
    theirs = torchdiffeq.odeint(
        net, y0, T.float(), rtol=1e-4, atol=1e-4, method="dopri5", options=dict(options)
    )
    assert (solution.ys - theirs).abs().max() < 1e-6
    inputs = (y0, *net.parameters())
    ours = torch.autograd.grad(solution.ys.sum(), inputs)
    # The steps are held fixed here; torchdiffeq's backpropagation moves the first of them.
    assert gradient_error(ours, torch.autograd.grad(theirs.sum(), inputs)) < 1e-3


def test_small_steps_far_from_zero_keep_their_size(net):
    """At t = 1e8 a difference of times has half the digits; the step itself has all."""
    field = lambda t, y: net(torch.zeros_like(t), y)
    y0 = torch.randn(2, dtype=torch.float64, requires_grad=True)
    inputs = (y0, *net.parameters())
    options = {"first_step": 1e-3, "min_step": 1e-3, "max_step": 1e-3}
    span = torch.tensor([0.0, 0.01], dtype=torch.float64)
    results = []
    for offset in (0.0, 1e8):
        solution = symadj.solve(field, y0, span + offset, options={**options, "output": "step"})
        steps = [step.stretch.h for step in solution.steps[:9]]
        assert steps == [1e-3] * 9
        results.append(torch.autograd.grad(solution.ys[-1].sum(), inputs))
    assert gradient_error(*results) < 1e-6  # the last step alone is cut at a rounded time
    near, far = (
        symadj.solve(field, y0, span + offset, rtol=1e-3, options={"first_step": 0.02})
        for offset in (0.0, 1e8)
    )
    assert near.steps[0].stretch.h == far.steps[0].stretch.h == 0.02


@pytest.mark.parametrize("pid", [(0.4, 0.3, 0.0), (0.3, 0.3, 0.05)])
def test_a_pid_controller_solves_as_well(net, y0, pid):
    options = dict(zip(("pcoeff", "icoeff", "dcoeff"), pid, strict=True))
    tight = symadj.odeint(net, y0, T, rtol=1e-11, atol=1e-11)
    ours = symadj.solve(net, y0, T, rtol=1e-6, atol=1e-6, options=options)
    assert (ours.ys - tight).abs().max() < 1e-5
    assert ours.stats.num_rejected <= 2


def test_a_pi_controller_rejects_less_where_stability_bounds_the_step():
    """The reason for which it is there: Hairer & Wanner II, IV.2."""
    field = lambda t, y: -50.0 * (y - torch.cos(t))
    y0, t = torch.zeros(1, dtype=torch.float64), torch.tensor([0.0, 10.0], dtype=torch.float64)
    arguments = {"rtol": 1e-4, "atol": 1e-4}
    plain = symadj.solve(field, y0, t, **arguments).stats
    pi = symadj.solve(field, y0, t, options={"pcoeff": 0.4, "icoeff": 0.3}, **arguments).stats
    assert pi.num_rejected < plain.num_rejected / 2


def test_multistep_methods_are_named_as_such(net, y0):
    for method in ("explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver"):
        with pytest.raises(errors.UnknownMethodError, match=r"torchdiffeq\.odeint"):
            symadj.odeint(net, y0, T, method=method)


def test_an_error_carries_the_last_good_state():
    """y' = y² has a pole at t = 1."""
    y0, t = torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 2.0], dtype=torch.float64)
    with pytest.raises(errors.SolveError) as caught:
        symadj.odeint(lambda t, y: {"x": y["x"] ** 2}, {"x": y0}, t)
    assert 0.99 < caught.value.t < 1.0001
    assert caught.value.y["x"].item() > 100


def test_a_progress_bar(net, y0, capsys):
    symadj.odeint(net, y0, T, options={"progress": True})
    shown = capsys.readouterr().err
    assert "solving: 100%" in shown
    assert "h = " in shown
