"""Events: when, where, and the gradients of both."""

import pytest
import torch
import torchdiffeq
from torch import nn

import symadj
from symadj import errors
from tests.fields import gradient_error

FINE = {"rtol": 1e-11, "atol": 1e-12}


class Ball(nn.Module):
    """A ball in the air: height and velocity, gravity and drag."""

    def __init__(self):
        super().__init__()
        self.gravity = nn.Parameter(torch.tensor(9.8, dtype=torch.float64))
        self.drag = nn.Parameter(torch.tensor(0.1, dtype=torch.float64))

    def forward(self, t, y):
        _, velocity = y
        return velocity, -self.gravity - self.drag * velocity


def start():
    return (
        torch.tensor(5.0, dtype=torch.float64, requires_grad=True),
        torch.tensor(1.0, dtype=torch.float64, requires_grad=True),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
    )


def floor(t, y):
    return y[0] - 0.01 * t


METHODS = [
    {"method": "dopri5"},
    {"method": "dopri8"},
    {"method": "rk4", "options": {"step_size": 0.05, "interp": "cubic"}},
    {"method": "rk4", "options": {"step_size": 0.05}},
]


@pytest.mark.parametrize("arguments", METHODS, ids=str)
def test_the_time_is_that_of_torchdiffeq(arguments):
    height, velocity, t0 = start()
    ours, _ = symadj.odeint_event(Ball(), (height, velocity), t0, event_fn=floor, **arguments)
    theirs, _ = torchdiffeq.odeint_event(
        Ball(), (height, velocity), t0, event_fn=floor, **arguments
    )
    assert abs(ours - theirs).item() < 1e-14


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_time_and_state_equal_those_of_torchdiffeq_in_the_limit(reverse):
    ball = Ball()

    def gradients(find):
        height, velocity, t0 = start()
        t, (heights, velocities) = find(
            ball,
            (height, -2.0 * velocity if reverse else velocity),
            t0,
            event_fn=lambda t, y: y[1] - 4.0 if reverse else floor(t, y),
            reverse_time=reverse,
            **FINE,
        )
        loss = t.sin() + 0.5 * velocities[-1] ** 2 + heights.sum()
        return torch.autograd.grad(loss, (height, velocity, t0, *ball.parameters()))

    assert (
        gradient_error(gradients(symadj.odeint_event), gradients(torchdiffeq.odeint_event)) < 1e-6
    )


@pytest.mark.parametrize("arguments", METHODS, ids=str)
def test_gradients_are_the_derivatives_of_what_was_computed(arguments):
    """Also where the solve is coarse, and differs much from the trajectory."""
    arguments = {"rtol": 1e-2, "atol": 1e-15, **arguments}  # atol: how closely it is located
    if "options" not in arguments:
        arguments["options"] = {"first_step": 0.4, "min_step": 0.4, "max_step": 0.4}
    ball = Ball()

    def found(height, velocity, t0, gravity, drag):
        params = {"gravity": gravity, "drag": drag}
        field = lambda t, y: torch.func.functional_call(ball, params, (t, y))
        t, (heights, velocities) = symadj.odeint_event(
            field, (height, velocity), t0, event_fn=floor, **arguments
        )
        return t, heights[-1], velocities[-1]

    inputs = (*start(), *(p.detach().clone().requires_grad_() for p in ball.parameters()))
    assert torch.autograd.gradcheck(found, inputs, eps=1e-5, atol=1e-6, rtol=1e-5)


def test_of_several_events_the_first_counts():
    height, velocity, t0 = start()
    both = lambda t, y: torch.stack([y[0] - 4.0, t - 10.0, y[1] + 100.0])
    t, (heights, _) = symadj.odeint_event(Ball(), (height, velocity), t0, event_fn=both)
    assert abs(heights[-1].item() - 4.0) < 1e-7
    (slope,) = torch.autograd.grad(t, height)
    assert slope > 0


def test_an_event_of_time_alone():
    height, velocity, t0 = start()
    t, (heights, _) = symadj.odeint_event(
        Ball(), (height, velocity), t0, event_fn=lambda t, y: t - 0.75
    )
    assert abs(t.item() - 0.75) < 1e-9
    expected = symadj.odeint(Ball(), (height, velocity), torch.stack([t0, torch.tensor(0.75)]))
    theirs = torch.autograd.grad(expected[0][-1], (height, velocity, t0))
    ours = torch.autograd.grad(heights[-1] + 0 * t, (height, velocity, t0))
    assert gradient_error(ours, theirs) < 1e-6


def test_an_event_at_the_start_is_found_there():
    height, velocity, t0 = start()
    t, (heights, velocities) = symadj.odeint_event(
        Ball(), (height, velocity), t0, event_fn=lambda t, y: y[0] - 5.0
    )
    assert t.item() == 0.3
    assert torch.equal(heights, torch.stack([height, height]))
    assert torch.equal(velocities, torch.stack([velocity, velocity]))
    # A little higher, it is met a little later; it moves along with the start.
    by_height, by_start = torch.autograd.grad(t, (height, t0), retain_graph=True)
    assert abs(by_height.item() + 1 / velocity.item()) < 1e-12
    assert abs(by_start.item() - 1.0) < 1e-12
    assert abs(torch.autograd.grad(heights[-1], height)[0].item()) < 1e-12  # it is where it is


def test_an_event_function_with_parameters_of_its_own():
    level = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    y0 = (torch.tensor(5.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    fall = lambda t, y: (y[1], torch.full_like(y[1], -9.8))
    t0 = torch.tensor(0.0, dtype=torch.float64)
    t, (heights, _) = symadj.odeint_event(fall, y0, t0, event_fn=lambda t, y: y[0] - level)
    by_time, by_height = (
        torch.autograd.grad(x, level, retain_graph=True)[0] for x in (t, heights[-1])
    )
    speed = (1 + 2 * 9.8 * 1.0) ** 0.5
    assert abs(by_time.item() + 1 / speed) < 1e-7
    assert abs(by_height.item() - 1.0) < 1e-7


@pytest.mark.parametrize("method", ["bosh3", "adaptive_heun", "tsit5", "trbdf2"])
def test_every_adaptive_method_finds_it(method):
    fall = lambda t, y: torch.stack([y[1], torch.full_like(y[1], -9.8)])
    y0 = torch.tensor([5.0, 1.0], dtype=torch.float64)
    t, _ = symadj.odeint_event(
        fall, y0, torch.tensor(0.0).double(), event_fn=lambda t, y: y[0], method=method
    )
    exact = (1 + (1 + 2 * 9.8 * 5) ** 0.5) / 9.8
    assert abs(t.item() - exact) < 1e-5


def test_solve_tells_the_time_of_the_event():
    height, velocity, _ = start()
    t = torch.tensor([0.3, 1.0], dtype=torch.float64)
    solution = symadj.solve(Ball(), (height, velocity), t, event_fn=floor)
    assert solution.ts.shape == (2,)
    assert solution.ts.requires_grad
    with torch.no_grad():
        plain = symadj.solve(Ball(), (height, velocity), t, event_fn=floor)
    assert not plain.ts.requires_grad
    assert torch.equal(plain.ts, solution.ts)


def test_many_bounces_in_a_row():
    """Gradients through a chain of events, against the closed form without drag."""
    height = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    restitution = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    field = lambda t, y: torch.stack([y[1], torch.full_like(y[1], -9.8)])
    y, t = torch.stack([height, torch.zeros_like(height)]), torch.tensor(0.0, dtype=torch.float64)
    for _ in range(4):
        t, ys = symadj.odeint_event(field, y, t, event_fn=lambda t, y: y[0], **FINE)
        y = torch.stack([torch.full_like(ys[-1, 0], 1e-12), -restitution * ys[-1, 1]])
    first = torch.sqrt(2 * height / 9.8)
    exact = first * (1 + 2 * (restitution + restitution**2 + restitution**3))
    inputs = (height, restitution)
    assert abs(t - exact).item() < 1e-7
    assert gradient_error(torch.autograd.grad(t, inputs), torch.autograd.grad(exact, inputs)) < 1e-6


def test_what_is_refused():
    height, velocity, t0 = start()
    y0 = (height, velocity)
    with pytest.raises(errors.InvalidTimesError, match="two"):
        symadj.odeint(Ball(), y0, torch.tensor([0.0, 1.0, 2.0]).double(), event_fn=floor)
    with pytest.raises(errors.InvalidInputError, match="step_size"):
        symadj.odeint_event(Ball(), y0, t0, event_fn=floor, method="rk4")
    never = lambda t, y: torch.ones(())
    few = {"max_num_steps": 20}
    with pytest.raises(errors.MaxStepsError, match="has not changed its sign"):
        symadj.odeint_event(Ball(), y0, t0, event_fn=never, options=few)
    small = {"step_size": 1e-3}
    decay = lambda t, y: -y
    with pytest.raises(errors.MaxStepsError, match="20000"):
        symadj.odeint_event(decay, torch.ones(1), t0, event_fn=never, method="euler", options=small)
    with pytest.raises(errors.InvalidInputError, match="odeint_interface"):
        symadj.odeint_event(
            Ball(), y0, t0, event_fn=floor, odeint_interface=torchdiffeq.odeint_adjoint
        )


def test_a_second_derivative_of_an_event_is_refused_not_wrong():
    height, velocity, t0 = start()
    t, (heights, _) = symadj.odeint_event(Ball(), (height, velocity), t0, event_fn=floor)
    for found in (t, heights[-1]):
        with pytest.raises(errors.UnsupportedError, match="without event_fn"):
            torch.autograd.grad(found, height, create_graph=True, retain_graph=True)
