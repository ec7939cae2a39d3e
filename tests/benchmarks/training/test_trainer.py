"""What a curve says of its method, and that it goes on where it was left."""

import math

import pytest
import torch

from benchmarks.methods import METHODS as REGISTRY
from benchmarks.methods import Method
from benchmarks.training.curves import METHODS, PLANS, Curve
from benchmarks.training.tasks import TASKS
from benchmarks.training.turns import new_trainers, train

CPU = torch.device("cpu")
TASK = TASKS["digits-cnf"]
WORK = PLANS["smoke"].work["digits-cnf"]


def trainer(method="symadj", setting="grid", dtype="float64"):
    (one,) = new_trainers([Curve(method, setting, dtype)], TASK, WORK, 0, CPU)
    return one


def trained(num_iterations, **curve):
    one = trainer(**curve)
    one.evaluate()
    for _ in range(num_iterations):
        one.step()
    one.evaluate()
    assert one.failure is None, one.failure
    return one


def test_exact_methods_train_alike_and_only_the_adjoint_method_otherwise():
    losses = {
        method: trained(3, method=method, setting="loose").points[-1].held_out_loss
        for method in METHODS
    }
    adjoint = losses.pop("torchdiffeq-adjoint")
    exact = list(losses.values())
    # Adam divides by the gradient's size, and so enlarges the rounding of what is nearly zero.
    assert exact == pytest.approx([exact[0]] * len(exact), rel=1e-8)
    assert adjoint != pytest.approx(exact[0], rel=1e-6)


def test_evaluations_are_those_of_the_grid():
    start, end = trained(3).points
    assert (start.iteration, start.nfe_forward, start.wall_seconds) == (0, 0, 0.0)
    assert start.training_loss is None
    stages, steps = 4, WORK.num_grid_steps
    assert (end.iteration, end.nfe_forward) == (3, 3 * stages * steps)
    assert end.nfe_backward == 3 * steps * (stages + stages - 1)  # replayed, then differentiated
    assert end.wall_seconds > 0


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 16), ("float32", 7), ("bfloat16", 2)])
def test_the_gradient_error_of_an_exact_method_is_its_rounding(dtype, digits):
    error = trained(1, dtype=dtype).points[-1].relative_step_gradient_error
    assert 0.05 * 10**-digits < error < 50 * 10**-digits


def test_the_gradient_error_of_the_adjoint_method_is_its_tolerance():
    loose, tight = (
        trained(1, method="torchdiffeq-adjoint", setting=setting, dtype="float32")
        .points[-1]
        .relative_step_gradient_error
        for setting in ("loose", "tight")
    )
    assert loose > 10 * tight


def test_the_held_out_loss_does_not_see_the_trainings_solver():
    points = {
        (setting, dtype): trainer(setting=setting, dtype=dtype)
        for setting, dtype in (("loose", "float32"), ("grid", "bfloat16"))
    }
    for one in points.values():
        one.evaluate()
    first, second = (one.points[0].held_out_loss for one in points.values())
    assert first == second


def test_a_curve_goes_on_where_its_state_was_taken():
    whole, first = trainer(), trainer()
    for _ in range(2):
        first.step()
    second = trainer()
    second.restore(first.state())
    for one, count in ((whole, 4), (second, 2)):
        for _ in range(count):
            one.step()
        one.evaluate()
    ours, theirs = whole.points[-1], second.points[-1]
    assert ours.held_out_loss == theirs.held_out_loss
    assert (ours.iteration, ours.nfe_backward) == (theirs.iteration, theirs.nfe_backward)
    assert theirs.wall_seconds > first.state()["wall_seconds"]


def test_a_method_that_raises_ends_its_own_curve_only(tmp_path, monkeypatch):
    solve = REGISTRY["symadj"].solver("default")
    calls = []

    def wearing_out(field, y0, t, how):
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError("no more")
        return solve(field, y0, t, how)

    monkeypatch.setitem(REGISTRY, "worn", Method("worn", wearing_out))
    worn, ours = new_trainers(
        [Curve("worn", "grid", "float64"), Curve("symadj", "grid", "float64")], TASK, WORK, 0, CPU
    )
    train([worn, ours], WORK, tmp_path / "partial", lambda _: None)
    assert "MemoryError: no more" in worn.failure
    assert len(worn.points) == 1
    assert ours.failure is None
    assert len(ours.points) == 2


def test_a_gradient_that_is_not_finite_ends_the_curve(monkeypatch):
    def overflowing(field, y0, t, how):
        x, logp = REGISTRY["symadj"].solver("default")(field, y0, t, how)
        return x * math.inf, logp

    monkeypatch.setitem(REGISTRY, "overflowing", Method("overflowing", overflowing))
    one = trainer(method="overflowing")
    one.step()
    assert "FloatingPointError: the gradient of iteration 0 overflowed" in one.failure
