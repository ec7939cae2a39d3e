"""The table of cases: complete, valid, and the same under every size set."""

import math
from collections import Counter
from dataclasses import fields, replace

import pytest
import torch

from benchmarks.cases import CASE_FIELDS
from benchmarks.measurement import METER_UNITS, Measurement
from benchmarks.meters import CountingField
from benchmarks.methods import BASELINE, BASIC, BASIC_PEERS, DIAL, METHODS, ON_REQUEST
from benchmarks.problems import PROBLEMS
from benchmarks.problems.problem import parse_size
from benchmarks.sizes import FULL, QUICK, SIZE_SETS, SMOKE, STANDARD

CPU = torch.device("cpu")
CITED = {name for name in PROBLEMS if PROBLEMS[name].published_size}


@pytest.fixture(params=SIZE_SETS)
def size_set(request):
    return SIZE_SETS[request.param]


def test_a_case_is_six_strings_or_numbers_in_the_agreed_order():
    assert CASE_FIELDS == ("problem", "method", "tableau", "size", "steps", "checkpoints")
    assert {field.type for field in fields(Measurement)} == {"float"}
    assert METER_UNITS["peak_cpu_bytes"] == "bytes"
    assert METER_UNITS["seconds_per_sample"] == "seconds"
    assert METER_UNITS["wall_ratio"] == "ratio"
    assert METER_UNITS["nvjp"] == "count"
    assert METER_UNITS["relative_gradient_error"] == "relative"


def test_every_case_names_what_exists(size_set):
    cases = size_set.cases()
    assert len(set(cases)) == len(cases)
    for case in cases:
        assert case.problem in PROBLEMS
        METHODS[case.method].solver(case.checkpoints)  # raises if not offered


def test_every_problem_is_there_but_at_the_quick_size():
    for name, size_set in SIZE_SETS.items():
        problems = {case.problem for case in size_set.cases()}
        assert (problems == set(PROBLEMS)) == (name != "quick"), name
    assert {case.problem for case in QUICK.cases()} >= {"cnf-miniboone", "spiral"}


def test_every_method_is_there(size_set):
    by_problem = {
        problem: {case.method for case in size_set.cases(problem)} for problem in size_set.sweeps
    }
    usual = set(METHODS) - set(ON_REQUEST)
    for problem in ("digits-classifier", "digits-cnf", "kdv"):
        assert by_problem[problem] == usual
    assert by_problem["mlp-checkpoints"] == {"symadj"}
    assert by_problem["kdv-checkpoints"] == {"symadj", *BASIC_PEERS}
    for problem, methods in by_problem.items():
        assert "symadj" in methods
        if problem not in {"mlp-checkpoints", "mlp-overhead"}:
            assert BASELINE in methods
    if size_set in (STANDARD, FULL):
        dials = {"mlp-checkpoints", "kdv-checkpoints", "mlp-overhead"}
        assert by_problem.pop("mlp-size") == set(METHODS)
        assert all(by_problem[name] == usual for name in set(by_problem) - dials)


def test_every_axis_is_there(size_set):
    def values(problem, field):
        return list(dict.fromkeys(getattr(case, field) for case in size_set.cases(problem)))

    orders = values("mlp-order", "tableau")
    assert orders == ["heun2", "rk4", "bosh3", "dopri5", "dopri8"]  # orders 2, 4, 3, 5, 8
    assert len(values("mlp-size", "size")) >= 3
    steps = values("mlp-steps", "steps")
    assert len(steps) >= 4
    assert steps == sorted(steps)
    assert values("mlp-checkpoints", "checkpoints") == ["states", "stages"]
    assert values("kdv", "tableau") == ["dopri8"]
    kept = values("kdv-checkpoints", "checkpoints")
    assert [value for value in DIAL if value in kept] == [*kept[:-1]]
    assert kept[-1] == "default"  # of the other methods
    assert {4, 16, "states", "graphs", "stages", "activations"} <= set(kept)


def test_cited_problems_have_their_published_networks():
    for size_set, names in (
        (STANDARD, CITED - {"odenet", "cahn-hilliard"}),  # narrower: the reference takes minutes
        (FULL, CITED),
    ):
        for name in names:
            ((size,), published) = size_set.sweeps[name].sizes, PROBLEMS[name].published_size
            assert parse_size(size)[0] == parse_size(published)[0]


def test_the_dial_of_a_night_is_whole():
    dial = FULL.cases("kdv-checkpoints")
    assert set(QUICK.cases("kdv-checkpoints")) < set(dial)
    for steps in (50, 500, 5_000):
        kept = {case.checkpoints for case in dial if case.steps == steps}
        assert kept == {*DIAL, "default"}
        assert {case.method for case in dial if case.steps == steps} == {"symadj", *BASIC_PEERS}


def test_what_would_replay_too_much_is_known_beforehand():
    limit = FULL.effort_of("kdv-checkpoints").max_replayed_steps
    cases = FULL.cases()
    assert {(c.steps, c.checkpoints) for c in cases if c.expected_replays > limit} == {
        (500, 1),
        (5_000, 1),
        (5_000, 2),
    }
    for case in cases:
        is_known = isinstance(case.steps, int) and isinstance(case.checkpoints, int)
        assert math.isnan(case.expected_replays) != is_known
    assert QUICK.effort_of("kdv") is QUICK.effort
    assert QUICK.effort_of("kdv-checkpoints") is not QUICK.effort


def test_smoke_has_every_case_of_quick_at_another_size():
    def shape(size_set):
        return Counter(
            (case.problem, case.method, case.tableau, case.checkpoints, case.steps == "adaptive")
            for case in size_set.cases()
            if case.problem not in CITED | {"mlp-overhead"}  # of fewer sizes there
        )

    assert shape(SMOKE) == shape(QUICK)


def test_a_method_that_comes_later_is_in_every_sweep_that_names_none(monkeypatch):
    monkeypatch.setitem(METHODS, "late", METHODS[BASELINE])
    assert "late" in {case.method for case in QUICK.cases("kdv")}
    assert "late" not in {case.method for case in QUICK.cases("kdv-checkpoints")}


def test_every_size_can_be_built(size_set):
    for problem, size in {(case.problem, case.size) for case in size_set.cases()}:
        if size_set is FULL and problem == "cahn-hilliard":
            continue  # its data take a minute to compute
        instance = PROBLEMS[problem].build(size, torch.float32, CPU)
        assert size.endswith(f" batch {instance.batch_size}")


def test_a_fixed_grid_has_as_many_steps_as_the_case_says(size_set):
    small = {case.problem: case.size for case in SMOKE.cases()}
    fixed = {
        replace(case, size=small[case.problem], checkpoints="default")
        for case in size_set.cases()
        if isinstance(case.steps, int) and case.steps <= 100 and case.method in BASIC
    }
    assert {case.problem for case in fixed} >= {"mlp-order", "mlp-steps", "kdv-checkpoints"}
    for case in fixed:
        instance = PROBLEMS[case.problem].build(case.size, torch.float32, CPU)
        counter = CountingField(instance.field, is_adaptive=False)
        solve = METHODS[case.method].solver(case.checkpoints)
        with torch.no_grad():
            solve(counter, instance.y0, instance.t, case.discretization(instance))
        assert len(counter.accepted_steps) == case.steps


def test_adaptive_cases_are_given_their_first_step():
    (case, *_) = (c for c in QUICK.cases("kdv") if c.method == BASELINE)
    instance = PROBLEMS["kdv"].build("16 points 2 channels batch 1", torch.float32, CPU)
    how = case.discretization(instance)
    assert dict(how.options) == {"first_step": PROBLEMS["kdv"].first_step}
    assert (how.rtol, how.atol) == (PROBLEMS["kdv"].rtol, PROBLEMS["kdv"].atol)
