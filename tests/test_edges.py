"""What is seldom given: the other door, refusals that no other test meets, states at the edge."""

import math
from dataclasses import replace

import pytest
import torch

import symadj
from symadj import errors, odeint, odeint_event, solve
from symadj.adjoint.budget import show_bytes
from symadj.adjoint.planned import _nearest
from symadj.adjoint.storage.factory import make_store
from symadj.adjoint.thinning import OnlineThinning
from symadj.captured import tensors_in_reach
from symadj.forward import progress
from symadj.forward.controller import ErrorControl
from symadj.forward.field import Field
from symadj.forward.implicit import estimate_error
from symadj.forward.interpolation import dense
from symadj.state import Packing
from symadj.tableaus import TABLEAUS
from tests.fields import Network

DTYPE = torch.float64
T = torch.linspace(0.0, 1.0, 4, dtype=DTYPE)


def decay(t, y):
    return -y


# --- the doors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(None, "dopri5"), ("bosh3", "bosh3"), ("rk4", "rk4_classic"), ("rk38", "rk4")],
)
def test_the_paper_s_code_s_names_and_its_steps_that_end_at_outputs(theirs, ours):
    net, y0 = Network(), torch.randn(3, dtype=DTYPE)
    found = symadj.odeint_symplectic_adjoint(net, y0, T, method=theirs)
    options = {"output": "step"} if TABLEAUS[ours].is_adaptive else None
    torch.testing.assert_close(found, odeint(net, y0, T, method=ours, options=options))
    assert found.requires_grad


def test_what_has_no_effect_is_said():
    with pytest.warns(UserWarning, match="adjoint_rtol, adjoint_method: without effect"):
        symadj.odeint_adjoint(
            Network(), torch.zeros(3, dtype=DTYPE), T, adjoint_rtol=1e-3, adjoint_method="rk4"
        )


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sync_steps": 3}, "'sync_steps'] is 3"),
        ({"sync_steps": True}, "there are no other processes"),
        ({"grid_constructor": 0.1}, "'grid_constructor'] is a float"),
    ],
)
def test_options_that_are_refused(options, said):
    method = "rk4" if "grid_constructor" in options else "dopri5"
    with pytest.raises(errors.InvalidInputError, match=said):
        odeint(decay, torch.ones(2), T, method=method, options=options)


def test_compiled_steps_need_a_torch_that_can(monkeypatch):
    monkeypatch.delattr(torch._dynamo.config, "side_effect_replay_policy", raising=False)
    with pytest.raises(errors.UnsupportedError, match=r"needs torch 2\.13 or later"):
        odeint(decay, torch.ones(2), T, options={"compile": True})


def test_a_bar_needs_tqdm(monkeypatch):
    monkeypatch.setattr(progress, "tqdm", None)
    with pytest.raises(errors.InvalidInputError, match="needs tqdm, which is not installed"):
        odeint(decay, torch.ones(2), T, options={"progress": True})


def test_tolerances_of_another_structure_are_refused():
    with pytest.raises(errors.InvalidInputError, match="rtol"):
        odeint(lambda t, y: y, (torch.ones(2), torch.ones(1)), T, rtol=(1e-3, 1e-3, 1e-3))


def test_dense_output_from_two_times_is_refused():
    with pytest.raises(errors.InvalidTypeError, match=r"t0 must be one time.*\(2,\)"):
        symadj.odeint_dense(decay, torch.ones(2), torch.zeros(2), torch.tensor(1.0))


@pytest.mark.parametrize(
    ("event_fn", "kind", "said"),
    [
        (lambda t, y: float(y.detach()[0]) - 0.5, errors.InvalidTypeError, "a plain number"),
        (lambda t, y: torch.sign(y[0] - 0.5), errors.SolveError, "does not change along"),
    ],
)
def test_events_without_a_derivative_are_refused(event_fn, kind, said):
    y0 = torch.ones(1, dtype=DTYPE, requires_grad=True)
    with pytest.raises(kind, match=said):
        odeint_event(decay, y0, torch.tensor(0.0, dtype=DTYPE), event_fn=event_fn)


def test_nan_on_the_way_to_an_event():
    with pytest.raises(errors.NonFiniteError, match="The state became NaN"):
        odeint_event(
            lambda t, y: y * math.nan,
            torch.ones(1, dtype=DTYPE),
            torch.tensor(0.0, dtype=DTYPE),
            event_fn=lambda t, y: t - 1.0,
            method="euler",
            options={"step_size": 0.1},
        )


def test_a_tableau_without_outputs_inside_a_step_has_no_interpolant():
    with pytest.raises(ValueError, match="has no dense output"):
        dense(replace(TABLEAUS["dopri5"], dense_output=None))


# --- what is solved ------------------------------------------------------------------------------


def test_a_field_that_is_a_parameter_itself():
    slope = torch.tensor([1.0, 2.0], dtype=DTYPE, requires_grad=True)
    ys = odeint(lambda t, y: slope, torch.zeros(2, dtype=DTYPE), T)
    torch.testing.assert_close(ys[-1].detach(), slope.detach())
    (gradient,) = torch.autograd.grad(ys[-1].sum(), slope)
    torch.testing.assert_close(gradient, torch.ones_like(slope))


def test_a_state_that_stands_still():
    y0 = torch.ones(2, dtype=DTYPE)
    assert torch.equal(odeint(lambda t, y: torch.zeros_like(y), y0, T), y0.expand(4, 2))


def test_tolerances_for_each_element_and_for_each_part():
    y0 = torch.ones(2, dtype=DTYPE)
    loose, strict = (
        solve(decay, y0, T, rtol=torch.tensor([rtol, rtol])).stats.nfe_forward
        for rtol in (1e-3, 1e-9)
    )
    assert loose < strict
    parts = (y0, y0[:1])
    for tolerance in (1e-9, (1e-9, torch.tensor(1e-9))):
        ys = odeint(lambda t, y: (-y[0], -y[1]), parts, T, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(ys[0][-1], y0 * math.exp(-1.0), rtol=1e-7, atol=0.0)


@pytest.mark.parametrize("method", ["trbdf2", "radauIIA5"])
def test_a_step_whose_stages_are_not_found_is_tried_again_smaller(method, monkeypatch):
    """y' = -50 sqrt(y): Newton's method leaves where the root is real if the step is too long."""
    failed = []
    ratio_of_failure = ErrorControl.ratio_of_failure

    def watched(control):
        failed.append(ratio_of_failure(control))
        return failed[-1]

    monkeypatch.setattr(ErrorControl, "ratio_of_failure", watched)
    y0 = torch.ones(1, dtype=DTYPE)
    t = torch.tensor([0.0, 0.03], dtype=DTYPE)
    found = solve(lambda t, y: -50.0 * y.sqrt(), y0, t, method=method, options={"first_step": 1.0})
    assert failed
    assert found.stats.num_rejected >= len(failed)
    torch.testing.assert_close(found.ys[-1], torch.full_like(y0, 0.0625), rtol=1e-6, atol=0.0)


def test_an_error_estimate_without_a_filter():
    """Is h times (b - b_hat) over the slopes, less the share of the slope at the start."""
    tableau = TABLEAUS["radauIIA5"]
    y, t, h = torch.ones(1, dtype=DTYPE), torch.tensor(0.0, dtype=DTYPE), 0.1
    field = Field(decay, Packing.of(y))
    slopes = list(torch.linspace(-1.0, -0.9, tableau.num_stages, dtype=DTYPE)[:, None])
    found = estimate_error(field, replace(tableau, error_filter=None), y, t, h, slopes)
    weights = [float(weight) for weight in tableau.error_weights]
    expected = h * sum(w * k for w, k in zip(weights, slopes, strict=False))
    expected = expected - h * float(tableau.b_hat_start) * decay(t, y)
    torch.testing.assert_close(found, expected)


# --- parts ---------------------------------------------------------------------------------------


def test_terabytes():
    assert show_bytes(3 * 2**40) == "3.0 TiB"


def test_states_of_another_device_are_kept_by_the_host():
    store = make_store("host", torch.empty(4, device="meta"))
    assert type(store).__name__ == "TensorStore"


def test_a_cell_that_has_no_value_yet_is_passed_over():
    def field(t, y):
        return later * weight * y

    weight = torch.ones(1, requires_grad=True)
    assert [tensor is weight for tensor in tensors_in_reach(field)] == [True]
    later = 2.0


@pytest.mark.parametrize("capacity", [1, 3, 7])
def test_thinning_goes_on_from_states_that_are_there(capacity):
    held = [0, 2, 3, 5, 8, 13, 21, 34]
    chosen = _nearest([round(40 * rank / capacity) for rank in range(capacity)], held)
    assert chosen[0] == 0
    assert len(set(chosen)) == capacity
    assert set(chosen) <= set(held)
    thinning = OnlineThinning.resumed(capacity, chosen, 40)
    kept = set(chosen)
    for step in range(40, 200):
        decision = thinning.offer(step)
        kept -= {decision.drop}
        kept |= {step} if decision.store else set()
        assert tuple(sorted(kept)) == thinning.positions
        assert len(kept) == capacity
        assert 0 in kept


def test_the_nearest_of_states_each_taken_once():
    assert _nearest([0, 4, 5, 20], [0, 1, 6, 7, 18, 30]) == [0, 6, 7, 18]
    assert _nearest([0, 90, 95], [0, 1, 2, 3]) == [0, 2, 3]
