"""A case's figures, and that one failing case takes no other with it."""

import math
import sys
from dataclasses import asdict, replace

import pytest
import torch

from benchmarks.cases import Case
from benchmarks.environment import SIZE_VARIABLE
from benchmarks.measure import Failure, measure, measure_cases
from benchmarks.measurement import METER_UNITS, Measurement, applicable_meters
from benchmarks.methods import BASELINE, BASIC, METHODS, Method
from benchmarks.outcomes import Code
from benchmarks.sizes import QUICK
from benchmarks.timing import Effort

CPU = torch.device("cpu")
ONE_ROUND = Effort(min_rounds=1, max_rounds=1, seconds=0.0)


def case(method, checkpoints="default"):
    return Case("mlp-steps", method, "rk4", "2-8-2 batch 4", 3, checkpoints)


@pytest.fixture(scope="module")
def outcomes():
    return measure([case(method) for method in BASIC], ONE_ROUND, CPU)


ALWAYS = applicable_meters(on_cuda=False, with_instructions=False, with_floor=False)


def test_meters_that_do_not_apply_are_those_of_a_gpu_of_valgrind_and_of_the_floor():
    assert set(METER_UNITS) - set(ALWAYS) == {
        *("cuda_seconds", "peak_gpu_bytes", "peak_gpu_reserved_bytes", "energy_joules"),
        *("num_instructions", "num_bare_instructions"),
        *("bare_ratio", "bare_ratio_low", "bare_ratio_high"),
        *("floor_bytes", "num_bare_operations"),
    }
    assert applicable_meters(on_cuda=True, with_instructions=True, with_floor=True) == tuple(
        METER_UNITS
    )


def test_every_figure_is_there_that_applies(outcomes):
    assert list(outcomes) == [case(method) for method in BASIC]
    for named, outcome in outcomes.items():
        assert isinstance(outcome, Measurement), outcome
        unknown = {meter for meter in METER_UNITS if math.isnan(getattr(outcome, meter))}
        is_ours = named.method.startswith("symadj")  # the others do not tell what they replay
        replays = set() if is_ours else {"num_replayed_steps"}
        assert unknown == {*METER_UNITS} - {*ALWAYS} | replays | {"outcome"}


def test_counts_are_those_of_three_rk4_steps(outcomes):
    for measured in outcomes.values():
        assert measured.nfe_forward == 12
        assert measured.num_accepted == 3
        assert measured.num_rejected == 0
        assert measured.nvjp == 12
        assert measured.nvjp_forward == 0
        assert measured.num_operations > 12  # an evaluation has several
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

    monkeypatch.setitem(METHODS, "broken", Method("broken", broken))
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
            raise RuntimeError("no more")
        return solve(field, y0, t, how)

    monkeypatch.setitem(METHODS, "worn", Method("worn", wearing_out))
    outcomes = measure([case("worn"), case("symadj")], ONE_ROUND, CPU)
    assert "RuntimeError: no more" in outcomes[case("worn")].traceback
    assert isinstance(outcomes[case("symadj")], Measurement)


def test_without_the_baseline_there_are_no_ratios_but_the_rest(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    # sizes of their own, whose references nobody has computed before
    ours, theirs = (
        Case("mlp-steps", method, "rk4", "2-5-2 batch 3", 2, "default")
        for method in ("symadj", BASELINE)
    )
    outcomes = measure([ours, theirs], ONE_ROUND, CPU)
    assert outcomes[theirs].outcome == Code.NOT_INSTALLED
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


def test_replayed_steps_are_those_expected():
    named = [case("symadj", kept) for kept in (1, 2, "states", "graphs", "stages", "activations")]
    outcomes = measure(named, ONE_ROUND, CPU)
    replayed = [outcomes[one].num_replayed_steps for one in named]
    assert replayed == [3, 1, 0, 0, 0, 0]
    assert [one.expected_replays for one in named[:2]] == replayed[:2]


def test_what_would_replay_too_much_is_left_out_and_says_so():
    few, many = case("symadj", 1), case("symadj", 2)
    outcomes = measure([few, many], replace(ONE_ROUND, max_replayed_steps=2), CPU)
    known = {key: value for key, value in asdict(outcomes[few]).items() if not math.isnan(value)}
    assert known == {"num_replayed_steps": 3.0}
    assert outcomes[many].wall_seconds > 0


def test_each_problem_is_given_its_own_effort(monkeypatch):
    asked = []
    monkeypatch.setattr("benchmarks.measure.measure", lambda *given: asked.append(given) or {})
    monkeypatch.setenv(SIZE_VARIABLE, "quick")
    ours, theirs = QUICK.cases("kdv-checkpoints")[0], QUICK.cases("kdv")[0]
    measure_cases([ours, theirs])
    assert [(cases, effort) for cases, effort, _ in asked] == [
        ([ours], QUICK.effort_of("kdv-checkpoints")),
        ([theirs], QUICK.effort),
    ]
