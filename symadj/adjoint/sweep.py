"""The backward pass: the adjoint state carried from the last step to the first."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symadj.adjoint.implicit import implicit_adjoint_step
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.snapshots import Snapshots
from symadj.adjoint.step import AdjointSlopes, OutputCotangents, StepAdjoint, adjoint_step
from symadj.adjoint.times import TimeGradient, output_time_gradient
from symadj.forward.carried import Carried, Replayer
from symadj.forward.field import Field
from symadj.forward.implicit import solve_stages
from symadj.forward.slopes import make_slopes
from symadj.forward.solve import Integration
from symadj.forward.step import rk_stages
from symadj.forward.trajectory import Stats, Step, StepGrid, anchors
from symadj.forward.transforms import is_batch
from symadj.forward.weights import Weights


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a backward pass returns.

    Attributes
    ----------
    y0 : Tensor, shape (n,)
    params : list of Tensor or None
    times : Tensor, shape (T,), or None
        Of the output times, where they are free of the grid.
    knots : Tensor, shape (K,), or None
        Of what the steps hang on: the grid points, or the initial time.
    """

    y0: Tensor
    params: list[Tensor | None]
    times: Tensor | None
    knots: Tensor | None


def adjoint_sweep(
    ivp: Integration,
    steps: StepGrid,
    snapshots: Snapshots,
    y_end: Tensor,
    cotangents: Tensor,
    params: Sequence[Tensor],
    stats: Stats,
    *,
    num_required: int | None = None,
    knots: Tensor | None = None,
    output_slopes: Tensor | None = None,
    replayer: Replayer | None = None,
) -> Gradients:
    """Pull the cotangents of the outputs back to the initial state, the parameters and time.

    Parameters
    ----------
    ivp : Integration
    steps : sequence of Step
        Accepted steps of the forward solve.
    snapshots : Snapshots
        What was kept of them.
    y_end : Tensor, shape (n,)
        State at the end of the last step.
    cotangents : Tensor, shape (T, n)
        ∂L/∂ys.
    params : sequence of Tensor
    stats : Stats
        Its backward fields are written.
    num_required : int, optional
        How many of the parameters get zeros where ``f`` does not use them; the others get None.
        All, unless given.
    knots : Tensor, shape (K,), optional
        Given where time's gradient is wanted: the grid points, or the initial time alone.
    output_slopes : Tensor, shape (T, n), optional
        Given where the output times have a gradient of their own: dy/dt at each.
    replayer : Replayer, optional
        Called by the field before each evaluation: brings back what ``f`` carried.

    Returns
    -------
    Gradients
    """
    nfe_before = ivp.field.nfe
    clock = ivp.clock(y_end)
    weights = Weights(ivp.tableau, y_end)
    pullback = Pullback(ivp.field, params, num_required=num_required, want_time=knots is not None)
    time_gradient = None
    if knots is not None:
        time_gradient = TimeGradient(knots, anchors(steps, has_grid=ivp.step_sizes.has_grid))
    slopes = AdjointSlopes(cotangents[0], weights.num_stages)
    adjoint = StepAdjoint(ivp.tableau, weights, slopes, pullback, time_gradient)

    explicit = ivp.tableau.is_explicit
    transpose = adjoint_step if explicit else implicit_adjoint_step
    adjoint_state = torch.zeros_like(y_end)
    y_next, next_shares = y_end, False
    inside = _output_cotangents(ivp, steps[-1], cotangents) if steps else None
    for index in reversed(range(len(steps))):
        step, h = steps[index], steps[index].stretch.h
        y, *kept = snapshots.of_step(index)
        stage_states: Sequence[Tensor] = (y, *kept) if explicit else kept
        is_replayed = len(stage_states) < weights.num_stages
        ivp.observer.tell("step_adjoint", step.stretch.t0, y, h)
        times = clock(step.stretch)
        before = _output_cotangents(ivp, steps[index - 1], cotangents) if index else None
        pulls_end = inside is not None and ivp.interpolant.uses_end_slope and not next_shares
        if replayer is not None:
            replayer.expect(_order_of_evaluations(step, weights.num_stages, pulls_end, is_replayed))
        if inside is not None and pulls_end:
            pulled = adjoint.pull(index, 1.0, h, times[-1], y_next, inside.of_slope(-1))
            if pulled is not None:
                adjoint_state = adjoint_state + pulled
        if step.has_end_output:
            adjoint_state = adjoint_state + cotangents[step.outputs.stop - 1]
        handed_on = None
        if step.shares_first_slope and before is not None and ivp.interpolant.uses_end_slope:
            handed_on = before.of_slope(-1)
        weights.scale(h)
        if is_replayed and explicit:
            stage_states = _replay(ivp.field, weights, y, times, slopes.rows)
        elif is_replayed:
            stage_states = solve_stages(ivp.field, ivp.tableau, y, times, h).stage_states
        next_shares = step.shares_first_slope
        adjoint_state = transpose(
            adjoint, index, h, times, stage_states, adjoint_state, inside, handed_on
        )
        ivp.observer.tell("accept_step_adjoint", step.stretch.t0, y, h)
        inside, y_next = before, y
    stats.nfe_backward = ivp.field.nfe - nfe_before
    stats.nvjp = pullback.num_calls
    stats.num_replayed = stats.nfe_backward - pullback.num_evaluations

    times_gradient = None
    if output_slopes is not None:
        times_gradient = output_time_gradient(cotangents, output_slopes)
        if time_gradient is not None:
            time_gradient.add_outputs(steps, times_gradient)
    return Gradients(
        y0=adjoint_state + cotangents[0],
        params=pullback.param_gradients,
        times=times_gradient,
        knots=None if time_gradient is None else time_gradient.knots,
    )


def _replay(
    field: Field,
    weights: Weights,
    y: Tensor,
    times: Sequence[Tensor],
    rows: Sequence[Tensor],
) -> Sequence[Tensor]:
    """Make the stage states of a step again, in the rows that will hold what becomes of them.

    The adjoint step is done with ``Y_i`` when it writes ``ℓ_i``: one buffer is enough for both. The
    slopes are gone when this returns, before the first graph is made.
    """
    if is_batch(rows[0]):
        rows = [torch.empty_like(y) for _ in rows]
    slopes = make_slopes(y, weights)
    slopes.put(0, field(times[0], y))
    rk_stages(field, slopes, y, times, weights.num_stages - 1, lambda i, Y: rows[i].copy_(Y))
    return (y, *rows[1:])


def _order_of_evaluations(
    step: Step, num_stages: int, pulls_end: bool, is_replayed: bool
) -> list[Carried]:
    """Return what ``f`` carried in each evaluation that transposing a step takes, in order."""
    states = step.carried[:num_stages]
    return [
        *((step.carried[-1],) if pulls_end else ()),
        *(states[:-1] if is_replayed else ()),
        *reversed(states),
    ]


def _output_cotangents(ivp: Integration, step: Step, cotangents: Tensor) -> OutputCotangents | None:
    thetas = step.interior_thetas
    if not thetas:
        return None
    weights = ivp.interpolant.weights(thetas, step.stretch.h, cotangents)
    return OutputCotangents(cotangents[step.interior_outputs], weights)
