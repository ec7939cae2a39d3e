"""Steps and outputs are those of torchdiffeq 0.2.5."""

import pytest
import torch
import torchdiffeq
from hypothesis import given, settings
from hypothesis import strategies as st

import symadj
from tests.fields import Network, relative_difference

ADAPTIVE = ["bosh3", "dopri5", "dopri8"]
FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]


class Recorder(Network):
    """Notes the steps that torchdiffeq tries, by its callbacks."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.accepted, self.rejected = [], 0

    def callback_accept_step(self, t0, y0, dt):
        self.accepted.append((t0.item(), dt.item()))

    def callback_reject_step(self, t0, y0, dt):
        self.rejected += 1


def times_of(count, stop, dtype, *, decreasing):
    t = torch.linspace(0, 1, count, dtype=dtype) ** 1.5 * stop
    return -t if decreasing else t


@settings(deadline=None, max_examples=60)
@given(
    method=st.sampled_from(ADAPTIVE),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    digits=st.floats(1, 9),
    count=st.integers(2, 6),
    stop=st.floats(0.3, 6.0),
    decreasing=st.booleans(),
    first_step=st.none() | st.floats(1e-3, 0.5),
    seed=st.integers(0, 10**6),
)
def test_adaptive_steps_are_the_same_to_the_bit(
    method, dtype, digits, count, stop, decreasing, first_step, seed
):
    torch.manual_seed(seed)
    field = Recorder(dtype=dtype)
    y0 = torch.randn(2, 3, dtype=dtype)
    t = times_of(count, stop, dtype, decreasing=decreasing)
    tolerances = {"rtol": 10**-digits, "atol": 10**-digits}
    options = {} if first_step is None else {"first_step": first_step}
    with torch.no_grad():
        theirs = torchdiffeq.odeint(
            field, y0, t, method=method, options=dict(options), **tolerances
        )
        accepted, rejected = field.accepted, field.rejected
        field.accepted, field.rejected = [], 0
        ours = symadj.solve(field, y0, t, method=method, options=options, **tolerances)

    sign = -1.0 if decreasing else 1.0  # torchdiffeq's own callbacks speak of the negated time
    assert [(sign * step.stretch.t0, abs(step.stretch.h)) for step in ours.steps] == [
        (sign * t0, dt) for t0, dt in accepted
    ]
    assert ours.stats.num_rejected == rejected == field.rejected
    assert [dt for _, dt in field.accepted] == [dt for _, dt in accepted]
    if method == "dopri8":  # torchdiffeq's middle weights are themselves off by rounding
        assert relative_difference(ours.ys, theirs) < 300 * torch.finfo(dtype).eps
    else:
        assert torch.equal(ours.ys, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decreasing", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"step_size": 0.07},
        {"step_size": 0.07, "interp": "cubic"},
        {"perturb": True},
        {"grid_constructor": lambda f, y0, t: torch.linspace(0, 1, 9, dtype=t.dtype) * t[-1]},
    ],
    ids=["t", "step_size", "cubic", "perturb", "constructor"],
)
@pytest.mark.parametrize("method", FIXED)
def test_fixed_grids_give_the_same_outputs(method, options, decreasing, dtype):
    field, y0 = Network(dtype=dtype), torch.randn(2, 3, dtype=dtype)
    t = times_of(5, 0.9, dtype, decreasing=decreasing)
    with torch.no_grad():
        theirs = torchdiffeq.odeint(field, y0, t, method=method, options=dict(options))
        ours = symadj.odeint(field, y0, t, method=method, options=options)
    assert relative_difference(ours, theirs) < 10 * torch.finfo(dtype).eps


@pytest.mark.parametrize("method", [*ADAPTIVE, *FIXED])
def test_the_field_is_evaluated_no_more_often(method):
    calls = []

    def field(t, y):
        calls.append(t.item())
        return -y * torch.cos(t)

    y0, t = torch.ones(3, dtype=torch.float64), torch.linspace(0, 2, 5, dtype=torch.float64)
    torchdiffeq.odeint(field, y0, t, method=method)
    theirs, calls = calls, []
    solution = symadj.solve(field, y0, t, method=method)
    assert calls == theirs  # at the very same times, the perturbed ones too
    assert solution.stats.nfe_forward == len(theirs)


@pytest.mark.parametrize("rtol", [1e-5, (1e-5, 1e-3)])
def test_tuple_states_and_tolerances(rtol):
    def field(t, state):
        y, z = state
        return -torch.cos(z) * y, torch.sin(t) * z + y.sum()

    y0 = (torch.randn(2, 3, dtype=torch.float64), torch.randn((), dtype=torch.float64))
    t = torch.tensor([0.0, 0.4, 1.5], dtype=torch.float64)
    theirs = torchdiffeq.odeint(field, y0, t, rtol=rtol, atol=(1e-6, 1e-7))
    ours = symadj.odeint(field, y0, t, rtol=rtol, atol=(1e-6, 1e-7))
    assert isinstance(ours, tuple)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        assert relative_difference(mine, other) < 1e-13


@pytest.mark.parametrize(
    "options",
    [
        {"min_step": 0.2},
        {"max_step": 0.05},
        {"safety": 0.5, "ifactor": 2.0, "dfactor": 0.5},
        {"norm": lambda y: y.abs().max()},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_of_error_control(options):
    field, y0 = Network(), torch.randn(2, 3, dtype=torch.float64)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    with torch.no_grad():
        theirs = torchdiffeq.odeint(field, y0, t, rtol=1e-6, method="dopri5", options=dict(options))
        default = symadj.odeint(field, y0, t, rtol=1e-6)
        ours = symadj.odeint(field, y0, t, rtol=1e-6, options=options)
    assert relative_difference(ours, theirs) < 1e-13
    assert not torch.equal(ours, default)  # the option does something


def test_times_on_a_single_point_return_the_initial_state():
    y0 = torch.randn(3)
    assert torch.equal(symadj.odeint(lambda t, y: y, y0, torch.tensor([2.0])), y0[None])
