"""Every method against torchdiffeq's backpropagation: the same outputs, the same gradient."""

import math
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from benchmarks.discretization import adaptive, fixed_grid
from benchmarks.gradient import flat_gradient, flatten, forward, relative_error
from benchmarks.meters import CountingField, peak_bytes
from benchmarks.methods import (
    BASELINE,
    BASIC_PEERS,
    DIAL,
    METHODS,
    ON_REQUEST,
    MissingPackageError,
    expected_replays,
)
from benchmarks.problems import PROBLEMS
from benchmarks.sizes import SMOKE

CPU = torch.device("cpu")
GROUPS = [case for case in SMOKE.cases() if case.method == BASELINE]
SAME_STEPS = [
    name for name, method in METHODS.items() if method.takes_same_steps and name not in ON_REQUEST
]
EXACT = [name for name in SAME_STEPS if METHODS[name].is_exact and name != BASELINE]


def group_id(case):
    return f"{case.problem}-{case.tableau}-{case.size}-{case.steps}"


def solver(name):
    return METHODS[name].solver("default")


def steps(case, method):
    """Return the steps of the forward pass, and how many were rejected."""
    instance = PROBLEMS[case.problem].build(case.size, torch.float64, CPU)
    counter = CountingField(instance.field, is_adaptive=case.steps == "adaptive")
    forward(replace(instance, field=counter), solver(method), case.discretization(instance))
    return torch.tensor(counter.accepted_steps, dtype=torch.float64), counter.num_rejected


def count(case, method, dtype=torch.float64, kept="default"):
    instance = PROBLEMS[case.problem].build(case.size, dtype, CPU)
    counter = CountingField(instance.field, is_adaptive=case.steps == "adaptive")
    counted = replace(instance, field=counter)
    solve = METHODS[method].solver(kept)
    forward_pass = forward(counted, solve, case.discretization(instance))
    counter.phase = "backward"
    forward_pass.gradient()
    return counter


@pytest.mark.parametrize("case", GROUPS, ids=group_id)
def test_exact_methods_return_backpropagations_gradient(case):
    instance = PROBLEMS[case.problem].build(case.size, torch.float64, CPU)
    how = case.discretization(instance)
    reference = flat_gradient(instance, solver(BASELINE), how)
    errors = {
        name: relative_error(flat_gradient(instance, solver(name), how), reference)
        for name in EXACT
    }
    assert max(errors.values()) <= 1e-12, errors


class SumOfSquares(nn.Module):
    """A loss that depends on every output, the initial value too."""

    def forward(self, ys):
        return ys.square().sum()


@pytest.mark.parametrize(
    "how",
    [
        adaptive("dopri5", rtol=1e-2, atol=1e-2, first_step=0.6),  # two outputs in one step
        adaptive("dopri5", rtol=1e-6, atol=1e-6, first_step=0.05),  # several steps an output
        fixed_grid("rk4", num_steps=3, duration=1.0),  # outputs between the grid's points
        fixed_grid("heun2", num_steps=8, duration=1.0),  # outputs at the grid's points
    ],
    ids=["large steps", "small steps", "coarse grid", "fine grid"],
)
def test_exact_methods_are_exact_in_every_output(how):
    problem = PROBLEMS["kdv"].build("16 points 2 channels batch 2", torch.float64, CPU)
    instance = replace(problem, loss=SumOfSquares())
    reference = flat_gradient(instance, solver(BASELINE), how)
    errors = {
        name: relative_error(flat_gradient(instance, solver(name), how), reference)
        for name in EXACT
    }
    assert max(errors.values()) <= 1e-12, errors


STACKED = PROBLEMS["cnf-power"].build("3 x 6-12-6 batch 4", torch.float64, CPU)


def stacked_how(tableau, jump_t):
    if tableau == "rk4":
        return fixed_grid("rk4", num_steps=9, duration=3.0, jump_t=jump_t)
    return adaptive(tableau, rtol=1e-4, atol=1e-5, first_step=0.05, jump_t=jump_t)


@pytest.mark.parametrize("tableau", ["bosh3", "dopri5", "dopri8", "rk4"])
def test_stacked_blocks_are_solved_as_each_by_itself(tableau):
    how = stacked_how(tableau, STACKED.jump_t)
    counts = {}
    gradients = {}
    for name in SAME_STEPS:
        counter = counts[name] = CountingField(STACKED.field, is_adaptive=tableau != "rk4")
        forward_pass = forward(replace(STACKED, field=counter), solver(name), how)
        counter.phase = "backward"
        gradients[name] = flatten(forward_pass.gradient())
    for name in EXACT:
        assert relative_error(gradients[name], gradients[BASELINE]) <= 1e-12, name
    starts = [t0 for t0, _ in counts[BASELINE].accepted_steps]
    assert {1.0, 2.0} <= set(starts)
    for name, counter in counts.items():
        assert counter.num_rejected == counts[BASELINE].num_rejected, name
        assert [t0 for t0, _ in counter.accepted_steps] == pytest.approx(starts), name
    if tableau == "rk4":
        return
    # What the jumps are for: told of none, a solver spends its attempts on finding them.
    blind = CountingField(STACKED.field, is_adaptive=True)
    flat_gradient(replace(STACKED, field=blind), solver(BASELINE), stacked_how(tableau, ()))
    assert blind.num_rejected > counts[BASELINE].num_rejected + 5


def test_a_checkpoint_per_solve_is_one_per_stacked_block():
    instance = PROBLEMS["cnf-power"].build("4 x 6-60-60-6 batch 200", torch.float32, CPU)
    # many steps a block, so that each has its share of them
    how = adaptive("dopri5", rtol=1e-8, atol=1e-8, first_step=0.05, jump_t=instance.jump_t)

    def peak(method):
        return peak_bytes(partial(flat_gradient, instance, solver(method), how), CPU).cpu

    assert peak("checkpoint-solve") < 0.45 * peak(BASELINE)
    assert peak("checkpoint-step") < 0.7 * peak("checkpoint-solve")
    assert peak("symadj") < 0.7 * peak("checkpoint-step")


def test_stacked_blocks_on_a_grid_look_at_their_own_side_of_a_jump():
    how = stacked_how("rk4", STACKED.jump_t)
    y = STACKED.y0
    for block in STACKED.field.blocks:
        one = fixed_grid("rk4", num_steps=3, duration=1.0)
        ys = solver(BASELINE)(block, y, torch.tensor([0.0, 1.0], dtype=torch.float64), one)
        y = tuple(part[-1] for part in ys)
    ends = solver(BASELINE)(STACKED.field, STACKED.y0, STACKED.t, how)
    for part, expected in zip(ends, y, strict=True):
        torch.testing.assert_close(part[-1], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", GROUPS, ids=group_id)
def test_methods_return_the_same_outputs(case):
    instance = PROBLEMS[case.problem].build(case.size, torch.float64, CPU)
    how = case.discretization(instance)

    def outputs(name):
        with torch.no_grad():
            ys = solver(name)(instance.field, instance.y0, instance.t, how)
        return ys if isinstance(ys, tuple) else (ys,)

    expected = outputs(BASELINE)
    for name in SAME_STEPS:
        for part, reference in zip(outputs(name), expected, strict=True):
            if name.startswith("symadj"):
                torch.testing.assert_close(part, reference, rtol=1e-11, atol=1e-11)
            else:
                assert torch.equal(part, reference), name


def test_the_continuous_adjoint_is_near_but_not_exact():
    (case,) = (case for case in GROUPS if case.problem == "digits-classifier")
    instance = PROBLEMS[case.problem].build(case.size, torch.float64, CPU)
    how = case.discretization(instance)
    reference = flat_gradient(instance, solver(BASELINE), how)
    error = relative_error(flat_gradient(instance, solver("torchdiffeq-adjoint"), how), reference)
    assert 1e-9 < error < 1e-2
    assert not METHODS["torchdiffeq-adjoint"].is_exact


@pytest.mark.parametrize("case", GROUPS, ids=group_id)
def test_all_methods_take_the_same_steps(case):
    expected, num_rejected = steps(case, BASELINE)
    assert len(expected) > 1
    for method in SAME_STEPS:
        accepted, rejected = steps(case, method)
        assert rejected == num_rejected, method
        torch.testing.assert_close(accepted, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("tableau", "new_stages"), [("bosh3", 3), ("dopri5", 6), ("dopri8", 13)])
def test_a_checkpoint_per_adaptive_step_wastes_no_evaluation(tableau, new_stages):
    (case,) = (c for c in GROUPS if c.problem == "mlp-order" and c.tableau == tableau)
    counts = count(case, "checkpoint-step")
    accepted, rejected = len(counts.accepted_steps), counts.num_rejected
    assert counts.nfe["forward"] == 1 + new_stages * (accepted + rejected)
    assert counts.nfe["backward"] == 1 + new_stages * accepted
    assert counts.nvjp["backward"] == 1 + new_stages * accepted


def test_a_checkpoint_per_fixed_step_wastes_no_evaluation():
    case = next(c for c in GROUPS if c.problem == "mlp-steps")
    counts = count(case, "checkpoint-step")
    assert counts.nfe == {"forward": 4 * case.steps, "backward": 4 * case.steps}
    assert counts.nvjp["backward"] == 4 * case.steps


@pytest.mark.parametrize("problem", ["kdv", "digits-cnf"])
def test_a_checkpoint_per_solve_runs_it_twice_also_where_the_field_calls_autograd(problem):
    (case,) = (c for c in GROUPS if c.problem == problem)
    counts = count(case, "checkpoint-solve")
    assert counts.nfe["backward"] == counts.nfe["forward"]


def test_every_setting_of_the_dial_returns_the_same_bits():
    case = next(c for c in GROUPS if c.problem == "kdv-checkpoints")
    instance = PROBLEMS[case.problem].build(case.size, torch.float32, CPU)
    gradients = [
        flat_gradient(instance, METHODS["symadj"].solver(kept), case.discretization(instance))
        for kept in ("default", *DIAL)
    ]
    for gradient in gradients:
        assert torch.equal(gradient, gradients[0])


@pytest.mark.parametrize("kept", DIAL)
def test_what_is_kept_decides_what_is_made_again(kept):
    case = next(c for c in GROUPS if c.problem == "kdv-checkpoints")
    counts = count(case, "symadj", kept=kept)
    num_steps, stages = case.steps, 4
    replayed = counts.num_replayed_steps
    assert counts.nvjp["backward"] == stages * num_steps
    if isinstance(kept, int):
        assert replayed == expected_replays(kept, num_steps)
    else:
        assert replayed == 0
        assert math.isnan(expected_replays(kept, num_steps))
    again = 0 if kept in {"graphs", "stages", "activations"} else stages - 1
    with_graph = 0 if kept == "activations" else stages
    assert counts.nfe["backward"] == num_steps * (again + with_graph) + replayed * stages


def test_a_solver_that_does_not_tell_has_no_replayed_steps():
    case = next(c for c in GROUPS if c.problem == "kdv-checkpoints")
    assert math.isnan(count(case, "checkpoint-step").num_replayed_steps)
    assert math.isnan(expected_replays(4, "adaptive"))


def test_a_missing_package_is_named(monkeypatch):
    (case,) = (c for c in GROUPS if c.problem == "digits-classifier")
    instance = PROBLEMS[case.problem].build(case.size, torch.float64, CPU)
    how = case.discretization(instance)
    monkeypatch.setitem(sys.modules, "symadj", None)  # importing it raises ImportError
    with pytest.raises(MissingPackageError, match=r"package symadj.*'bench' extra"):
        flat_gradient(instance, solver("symadj"), how)
    flat_gradient(instance, solver(BASELINE), how)
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    for name in BASIC_PEERS:
        with pytest.raises(MissingPackageError, match="package torchdiffeq"):
            flat_gradient(instance, solver(name), how)


@pytest.mark.parametrize(
    ("method", "package", "hint"),
    [
        ("torchode", "torchode", "'peers' extra"),
        ("diffrax-recursive", "jax", "'peers' extra"),
        ("diffrax-backsolve", "diffrax", "'peers' extra"),
        ("torchdyn", "torchdyn.numerics.odeint", "pip install --no-deps torchdyn"),
        ("paper-symplectic", "torch_symplectic_adjoint", "on the path"),
    ],
)
def test_a_missing_peer_is_named_with_how_to_install_it(method, package, hint, monkeypatch):
    if package == "diffrax":
        pytest.importorskip("jax")
    instance = PROBLEMS["mlp-size"].build("2-8-2 batch 4", torch.float64, CPU)
    monkeypatch.setitem(sys.modules, package, None)
    how = fixed_grid("rk4", num_steps=2, duration=2.0)
    with pytest.raises(MissingPackageError, match=f"package {package}.*{hint}"):
        flat_gradient(instance, solver(method), how)


def test_checkpoints_that_a_method_does_not_offer_are_refused():
    with pytest.raises(
        ValueError, match="it has 'default', 1, 2, 4, 8, 16, 32, 'states', 'graphs', 'stages'"
    ):
        METHODS["symadj"].solver("every other")
