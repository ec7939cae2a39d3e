"""A case's figures, and that one failing case takes no other with it."""

import math
from dataclasses import astuple

import pytest
import torch

from benchmarks import methods
from benchmarks.cases import Case, Measurement
from benchmarks.measure import Failure, measure
from benchmarks.methods import BASELINE, METHODS, Method
from benchmarks.timing import Effort

CPU = torch.device("cpu")
ONE_ROUND = Effort(min_rounds=1, max_rounds=1, seconds=0.0)


def case(method, checkpoints="default"):
    return Case("mlp-steps", method, "rk4", "2-8-2 batch 4", 3, checkpoints)


@pytest.fixture(scope="module")
def outcomes():
    return measure([case(method) for method in METHODS], ONE_ROUND, CPU)


def test_every_figure_is_there_but_those_of_a_gpu(outcomes):
    assert list(outcomes) == [case(method) for method in METHODS]
    for outcome in outcomes.values():
        assert isinstance(outcome, Measurement), outcome
        assert math.isnan(outcome.peak_gpu_bytes)
        assert sum(math.isnan(value) for value in astuple(outcome)) == 1


def test_counts_are_those_of_three_rk4_steps(outcomes):
    for measured in outcomes.values():
        assert measured.nfe_forward == 12
        assert measured.num_accepted == 3
        assert measured.num_rejected == 0
        assert measured.nvjp == 12
    assert outcomes[case(BASELINE)].nfe_backward == 0
    assert outcomes[case("symadj-stages")].nfe_backward == 12


def test_seconds_add_up(outcomes):
    for measured in outcomes.values():
        parts = measured.wall_seconds_forward + measured.wall_seconds_backward
        assert measured.wall_seconds == pytest.approx(parts)  # one round: medians add up
        assert measured.seconds_per_sample == pytest.approx(measured.wall_seconds / 4)
        assert measured.wall_seconds_q25 == measured.wall_seconds_q75
    base = outcomes[case(BASELINE)]
    assert (base.wall_ratio, base.wall_ratio_low, base.wall_ratio_high) == (1.0, 1.0, 1.0)
    for measured in outcomes.values():
        assert measured.wall_ratio == pytest.approx(measured.wall_seconds / base.wall_seconds)


def test_exact_methods_are_exact_to_single_precision(outcomes):
    for measured_case, measured in outcomes.items():
        if METHODS[measured_case.method].is_exact:
            assert measured.relative_step_gradient_error < 2e-6
        else:
            assert measured.relative_step_gradient_error > 1e-4
        assert measured.relative_gradient_error > 1e-4  # three steps are few


def test_a_failing_case_is_kept_apart(monkeypatch):
    def broken(field, y0, t, how):
        raise RuntimeError("planted fault")

    monkeypatch.setitem(METHODS, "broken", Method("broken", {"default": broken}))
    outcomes = measure([case("broken"), case("symadj"), case("unheard of")], ONE_ROUND, CPU)
    failure = outcomes[case("broken")]
    assert isinstance(failure, Failure)
    assert "planted fault" in failure.traceback
    assert "in broken" in failure.traceback  # where it happened
    assert isinstance(outcomes[case("unheard of")], Failure)
    assert isinstance(outcomes[case("symadj")], Measurement)
    assert outcomes[case("symadj")].wall_ratio > 0


def test_a_case_that_fails_at_the_clock_is_kept_apart(monkeypatch):
    solve = METHODS[BASELINE].solver("default")
    calls = []

    def wearing_out(field, y0, t, how):
        calls.append(1)
        if len(calls) > 4:  # one warm-up, one count, two for the memory
            raise MemoryError("no more")
        return solve(field, y0, t, how)

    monkeypatch.setitem(METHODS, "worn", Method("worn", {"default": wearing_out}))
    outcomes = measure([case("worn"), case("symadj")], ONE_ROUND, CPU)
    assert "MemoryError: no more" in outcomes[case("worn")].traceback
    assert isinstance(outcomes[case("symadj")], Measurement)


def test_without_the_baseline_there_are_no_ratios_but_the_rest(monkeypatch):
    monkeypatch.setattr(methods, "torchdiffeq", None)
    # sizes of their own, whose references nobody has computed before
    ours, theirs = (
        Case("mlp-steps", method, "rk4", "2-5-2 batch 3", 2, "default")
        for method in ("symadj", BASELINE)
    )
    outcomes = measure([ours, theirs], ONE_ROUND, CPU)
    assert "needs the package torchdiffeq" in outcomes[theirs].traceback
    assert math.isnan(outcomes[ours].wall_ratio)
    assert math.isnan(outcomes[ours].relative_gradient_error)
    assert outcomes[ours].wall_seconds > 0
    assert outcomes[ours].peak_cpu_bytes > 0
    assert outcomes[ours].nfe_forward == 8


def test_checkpoints_are_compared_with_a_baseline_that_is_no_case():
    outcomes = measure([case("symadj", "states"), case("symadj", "stages")], ONE_ROUND, CPU)
    states, stages = outcomes.values()
    assert states.wall_ratio > 0
    assert stages.nfe_backward < states.nfe_backward
