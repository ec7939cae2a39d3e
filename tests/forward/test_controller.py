"""Step sizes by the formulas of their sources, one decision at a time."""

import math

import pytest
import torch

from symadj.errors import NonFiniteError
from symadj.forward.controller import EqualSteps, ErrorControl, FixedGrid, Proposal, rms_norm
from symadj.forward.field import Field
from symadj.state import Packing

SETTINGS = {
    "order": 5,
    "direction": 1.0,
    "rtol": 1e-3,
    "atol": 1e-6,
    "norm": rms_norm,
    "first_step": None,
    "min_step": 0.01,
    "max_step": 2.0,
    "safety": 0.9,
    "ifactor": 10.0,
    "dfactor": 0.2,
    "pid": (0.0, 1.0, 0.0),
    "max_attempts": 100,
}


def control(**changes):
    return ErrorControl(**{**SETTINGS, **changes})


def judged(ratio, h=0.1, earlier=(0.0, 0.0), **changes):
    return control(**changes).judge(Proposal(h, h), ratio, (h, *earlier))


def test_grids_hand_out_their_steps():
    grid = FixedGrid((0.5, 0.75), (0.5, 0.25))
    assert grid.propose(0.0, (0,)) == Proposal(0.5, 0.5)
    assert grid.judge(grid.propose(0.0, (0,)), 0.0, (0,)) == (True, (1,))
    assert grid.propose(0.5, (1,)) == Proposal(0.75, 0.25)
    assert not grid.is_adaptive
    assert grid.has_grid
    assert grid.max_attempts > 10**18  # the grid alone ends the solve
    equal = EqualSteps(-0.25, 7)
    assert equal.propose(1.0, (3.0,)) == Proposal(0.75, -0.25)
    assert equal.judge(equal.propose(1.0, (3.0,)), 0.0, (3.0,)) == (True, (3.0,))
    assert not equal.is_adaptive
    assert not equal.has_grid
    assert control().is_adaptive
    assert not control().has_grid


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_step_ends_at_the_next_stop_and_knows_what_it_is(direction):
    stops = tuple(direction * t for t in (0.5, 1.0, 2.0))
    steps = control(
        direction=direction,
        stops=stops,
        prescribed=frozenset(stops[:1]),
        jumps=frozenset(stops[1:2]),
    )

    def proposed(t0, size):
        return steps.propose(direction * t0, (size, 0.0, 0.0))

    assert proposed(0.0, 0.25) == Proposal(direction * 0.25, direction * 0.25)
    assert proposed(0.25, 0.25) == Proposal(stops[0], direction * 0.25, True, False)
    assert proposed(0.25, 1.0) == Proposal(stops[0], direction * 0.25, True, False)
    assert proposed(0.5, 1.5) == Proposal(stops[1], direction * 0.5, False, True)
    assert proposed(1.0, 1.5) == Proposal(stops[2], direction * 1.0, False, False)
    assert proposed(2.0, 0.25) == Proposal(direction * 2.25, direction * 0.25)


def test_a_step_that_ends_at_a_stop_by_itself_keeps_its_size():
    steps = control(stops=(0.1 + 0.2,))
    h = steps.propose(0.1, (0.2, 0.0, 0.0)).h
    assert h == 0.2 != (0.1 + 0.2) - 0.1


@pytest.mark.parametrize(("carried", "size"), [(0.001, 0.01), (0.5, 0.5), (5.0, 2.0)])
def test_sizes_stay_within_their_bounds(carried, size):
    assert control().propose(0.0, (carried, 0.0, 0.0)).h == size


def test_times_are_rounded():
    steps = control(round_time=lambda t: round(t, 1), stops=(0.96,))
    assert steps.propose(0.0, (0.26, 0.0, 0.0)) == Proposal(0.3, 0.3)
    assert steps.propose(0.5, (0.8, 0.0, 0.0)) == Proposal(0.96, 0.5)


def test_a_step_is_accepted_at_an_error_of_at_most_one_or_at_the_lower_bound():
    assert judged(1.0)[0]
    assert not judged(1.0 + 1e-9)[0]
    assert judged(1e3, h=0.01)[0]
    assert judged(1e3, h=-0.01)[0]
    assert not judged(1e3, h=0.011)[0]


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [
        (0.0, 10.0),  # ifactor
        (1e-9, 10.0),
        (0.5**5, 0.9 * 2),
        (0.99, 1.0),  # never smaller after a step that was accepted with an error below one ...
        (1.0, 0.9),  # ... but at one
        (2.0**5, 0.45),
        (1e9, 0.2),  # dfactor
    ],
)
def test_the_elementary_controller(ratio, factor):
    _, carry = judged(ratio)
    assert carry[0] == pytest.approx(0.1 * factor, rel=1e-12)


def test_ratios_are_carried_of_accepted_steps_alone():
    assert judged(0.5, earlier=(0.25, 0.125))[1][1:] == (0.5, 0.25)
    assert judged(1.5, earlier=(0.25, 0.125))[1][1:] == (0.25, 0.125)


@pytest.mark.parametrize("ratio", [math.inf, math.nan])
def test_a_step_that_is_not_finite_is_tried_with_dfactor(ratio):
    accepted, carry = judged(ratio, h=-0.1, earlier=(0.25, 0.125))
    assert not accepted
    assert carry == (pytest.approx(0.02), 0.25, 0.125)
    assert judged(ratio, h=0.02)[1][0] == 0.01  # the lower bound


def test_pid_is_soederlinds():
    p, i, d = 0.3, 0.4, 0.05
    r0, r1, r2 = 0.05, 0.6, 0.7
    _, carry = judged(r0, earlier=(r1, r2), pid=(p, i, d))
    factor = 0.9 * r0 ** (-(p + i + d) / 5) * r1 ** ((p + 2 * d) / 5) * r2 ** (-d / 5)
    assert factor > 1
    assert carry[0] == pytest.approx(0.1 * factor, rel=1e-12)


def test_pid_before_there_are_earlier_ratios():
    _, carry = judged(0.05, pid=(0.3, 0.4, 0.05))
    assert carry[0] == pytest.approx(0.1 * 0.9 * 0.05 ** (-0.75 / 5), rel=1e-12)


def test_earlier_ratios_never_enlarge_a_step_after_a_rejection():
    """Here they would, by far: the error falls from 1e-9 to a little above one."""
    _, carry = judged(1.1, earlier=(1e9, 0.0), pid=(2.0, 1.0, 0.0))
    assert carry[0] == pytest.approx(0.1 * 0.9)
    _, carry = judged(1.1, earlier=(1e9, 0.0), pid=(2.0, 1.0, 0.0), safety=1.5, ifactor=1.2)
    assert carry[0] == pytest.approx(0.1 * 1.2)


def test_the_error_is_in_units_of_both_tolerances():
    error, y0, y1 = (
        torch.tensor(x, dtype=torch.float64) for x in ([3.0, 4.0], [-2.0, 1.0], [1.0, -5.0])
    )
    found = control(rtol=0.5, atol=0.25).error_ratio(error, y0, y1)
    assert found == pytest.approx(math.sqrt(((3 / 1.25) ** 2 + (4 / 2.75) ** 2) / 2))
    assert control(norm=lambda x: -rms_norm(x)).error_ratio(error, y0, y1) > 0


def first_step(func, y0, **changes):
    field = Field(func, Packing.of(y0))
    steps = control(**changes)
    return steps.select_first_step(field, 2.0, y0, func(torch.tensor(2.0), y0))


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_first_step_is_that_of_hairer_norsett_and_wanner(direction):
    """The steps a) to f) of II.4, by hand, for y' = -9 y + t² at t = 2."""
    func = lambda t, y: -9.0 * y + t**2
    y0 = torch.tensor([0.7], dtype=torch.float64)
    scale = 1e-6 + 1e-3 * 0.7
    slope = -9 * 0.7 + 4
    d0, d1 = 0.7 / scale, abs(slope) / scale
    h0 = 0.01 * d0 / d1
    later = -9 * (0.7 + direction * h0 * slope) + (2 + direction * h0) ** 2
    d2 = abs(later - slope) / scale / h0
    h1 = (0.01 / max(d1, d2)) ** (1 / 5)
    assert d2 > d1  # so that it is what counts
    assert h1 < 100 * h0
    found = first_step(func, y0, direction=direction)
    assert found == pytest.approx(h1, rel=1e-10)
    assert first_step(func, y0, direction=direction, order=1) < found


@pytest.mark.parametrize(
    ("y0", "slope", "found"),
    [
        (0.0, 1.0, 1e-4),  # the state is nothing: h0 = 1e-6, and at most a hundred times that
        (1.0, 0.0, 1e-6),  # the slope is nothing, here and farther on: h0 times 1e-3, from 1e-6
        (9e-12, 1.0, 1e-4),  # d0 = 9e-6 is as good as nothing
        (1.1e-11, 1e-3, 1e-9 * 1.1 * 1e-1 * 1e2),  # d0 = 1.1e-5 is not: h0 = 0.01 d0/d1
    ],
)
def test_the_first_step_where_something_is_nothing(y0, slope, found):
    y0 = torch.tensor([y0], dtype=torch.float64)
    func = lambda t, y: torch.full_like(y, slope)
    assert first_step(func, y0) == pytest.approx(found, rel=1e-4)


def test_the_first_step_where_f_is_not_finite_a_little_farther_on():
    y0 = torch.tensor([1.0], dtype=torch.float64)
    found = first_step(lambda t, y: torch.where(y > 1.0, torch.nan, 2.0), y0)
    assert found == pytest.approx(0.01 * 1.0 / 2.0)  # h0 = 0.01 d0/d1


@pytest.mark.parametrize(
    ("y0", "slope", "named"), [(math.nan, 1.0, "y0 holds"), (1.0, math.inf, r"f\(t0, y0\)")]
)
def test_what_is_not_finite_at_the_start_is_named(y0, slope, named):
    y0 = torch.tensor([y0], dtype=torch.float64)
    with pytest.raises(NonFiniteError, match=named):
        first_step(lambda t, y: torch.full_like(y, slope), y0)
