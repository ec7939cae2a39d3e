"""The rules of docs/fairness.md that are this suite's own; each is broken once, and noticed."""

import math
import time
from dataclasses import replace

import pytest
import torch

from benchmarks.cases import KNOWN_FAILURES, Case
from benchmarks.fairness import Work, may_be_compared
from benchmarks.measure import Failure, measure, prepare
from benchmarks.measurement import METER_UNITS
from benchmarks.memory_limit import limited_memory
from benchmarks.methods import BASELINE, METHODS, Method, MissingPackageError, NotOfferedError
from benchmarks.outcomes import Code
from benchmarks.sizes import SMOKE
from benchmarks.timing import Effort

CPU = torch.device("cpu")
ONE_ROUND = Effort(min_rounds=1, max_rounds=1, seconds=0.0)
BACKPROP = METHODS[BASELINE].solve
NAN = math.nan


def case(method, steps=3, tableau="rk4"):
    return Case("mlp-steps", method, tableau, "2-8-2 batch 4", steps, "default")


def plug_in(monkeypatch, solve, **claims):
    monkeypatch.setitem(METHODS, "plugged-in", Method("plugged-in", solve, **claims))


def measured(method="plugged-in", **how):
    one = case(method, **how)
    return measure([one], ONE_ROUND, CPU)[one]


@pytest.mark.parametrize(
    ("own", "base", "expected"),
    [
        (Work(5, 1, 1e-2), Work(5, 1, 1e-4), True),  # the same steps, whatever the gradient
        (Work(9, 1, 1e-4), Work(5, 1, 1e-4), True),  # the same error, whatever the steps
        (Work(9, 1, 1.3e-4), Work(5, 1, 1e-4), False),
        (Work(5, 0, 1.3e-4), Work(5, 1, 1e-4), False),  # a rejected step is work too
        (Work(NAN, NAN, 1e-5), Work(5, 1, 1e-4), True),
        (Work(NAN, NAN, NAN), Work(5, 1, 1e-4), False),
        (Work(NAN, NAN, 1e-5), Work(NAN, NAN, NAN), False),
    ],
)
def test_times_compare_at_the_same_steps_or_the_same_error(own, base, expected):
    assert may_be_compared(own, base) == expected


def test_unequal_work_has_figures_and_no_ratio(monkeypatch):
    def lazy(field, y0, t, how):
        """One step of Euler: fast, and wrong."""
        y = y0 + (t[-1] - t[0]).to(y0.dtype) * field(t[0], y0)
        return torch.stack((y0, y))

    plug_in(monkeypatch, lazy)
    outcome = measured()
    assert outcome.wall_seconds > 0
    assert outcome.relative_gradient_error > 10 * measured(BASELINE).relative_gradient_error
    assert math.isnan(outcome.wall_ratio)
    assert math.isnan(outcome.wall_ratio_low)
    assert outcome.outcome == Code.UNEQUAL_WORK


def test_as_many_steps_of_another_kind_are_unequal_work(monkeypatch):
    def euler(field, y0, t, how):
        return BACKPROP(field, y0, t, replace(how, tableau="euler"))

    plug_in(monkeypatch, euler, takes_same_steps=False)
    outcome = measured()
    assert outcome.num_accepted == measured(BASELINE).num_accepted
    assert math.isnan(outcome.wall_ratio)
    assert outcome.outcome == Code.UNEQUAL_WORK


def test_equal_work_has_a_ratio_and_no_code(monkeypatch):
    plug_in(monkeypatch, BACKPROP)
    outcome = measured()
    assert outcome.wall_ratio > 0
    assert math.isnan(outcome.outcome)


def test_the_first_call_is_timed_apart(monkeypatch):
    compiled = []

    def slow_at_first(field, y0, t, how):
        if not compiled:
            time.sleep(0.4)
            compiled.append(1)
        return BACKPROP(field, y0, t, how)

    plug_in(monkeypatch, slow_at_first)
    outcome = measured()
    assert outcome.first_call_seconds > 0.4
    assert outcome.wall_seconds < 0.3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MissingPackageError("no such package"), Code.NOT_INSTALLED),
        (NotOfferedError("no such tableau"), Code.NOT_OFFERED),
        (MemoryError(), Code.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), Code.OUT_OF_MEMORY),
    ],
)
def test_what_cannot_run_is_a_row_that_says_so(monkeypatch, error, code):
    def refuse(field, y0, t, how):
        raise error

    plug_in(monkeypatch, refuse)
    outcome = measured()
    assert outcome.outcome == code
    assert all(math.isnan(getattr(outcome, meter)) for meter in METER_UNITS if meter != "outcome")


def test_an_unknown_failure_is_one_even_if_it_is_a_peers(monkeypatch):
    def broken(field, y0, t, how):
        raise RuntimeError("planted fault")

    plug_in(monkeypatch, broken)
    outcome = measured()
    assert isinstance(outcome, Failure)
    assert "planted fault" in outcome.traceback


def test_too_much_memory_fails_the_case_and_nothing_else(monkeypatch):
    def greedy(field, y0, t, how):
        for size in range(34, 48):  # 64 GiB, then more: past any limit
            torch.empty(2**size, dtype=torch.float32)
        return BACKPROP(field, y0, t, how)

    plug_in(monkeypatch, greedy)
    ours = case("symadj")
    outcomes = measure([case("plugged-in"), ours], ONE_ROUND, CPU)
    assert outcomes[case("plugged-in")].outcome == Code.OUT_OF_MEMORY
    assert outcomes[ours].wall_ratio > 0


def test_the_limit_on_memory_holds_and_is_lifted():
    num_bytes = 64 * 2**20
    with limited_memory(num_bytes):
        torch.ones(num_bytes // 8)  # half of it
        with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
            torch.ones(num_bytes)  # four times as much
    torch.ones(num_bytes)


@pytest.mark.parametrize(("problem", "method"), sorted(KNOWN_FAILURES))
def test_what_is_known_to_fail_does(problem, method):
    (size,) = SMOKE.sweeps[problem].sizes
    with pytest.raises(AssertionError, match=r"non-finite|underflow"):
        prepare(Case(problem, method, "dopri5", size, "adaptive", "default")).gradient()


def test_a_known_failure_is_a_row_that_says_so(monkeypatch):
    def broken(field, y0, t, how):
        raise AssertionError("non-finite values in state")

    plug_in(monkeypatch, broken)
    known = KNOWN_FAILURES | {("mlp-steps", "plugged-in")}
    monkeypatch.setattr("benchmarks.measure.KNOWN_FAILURES", known)
    assert measured().outcome == Code.KNOWN_FAILURE


def test_a_method_of_another_order_takes_as_many_steps_as_the_error_needs():
    ours, base = measured("mali", steps=8), measured(BASELINE, steps=8)
    assert ours.relative_gradient_error <= 1.25 * base.relative_gradient_error
    assert ours.num_accepted > base.num_accepted
    assert ours.wall_ratio > 0
    assert math.isnan(ours.relative_step_gradient_error)  # of other steps than its own


def test_an_error_that_cannot_be_reached_is_a_row_that_says_so():
    outcome = measured("mali", steps=50)  # rk4: at the error of rounding
    assert outcome.outcome == Code.ERROR_NOT_REACHED
