"""The backward pass: the adjoint state carried from the last step to the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from symadj.adjoint.activations import NO_GRAPHS, Activations
from symadj.adjoint.compiled import CompiledSweep
from symadj.adjoint.cotangents import Gathered, Scattered, SlopeCotangents
from symadj.adjoint.implicit import AdjointSlopes, implicit_adjoint_step
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.replay import Replay
from symadj.adjoint.snapshots import KeptStates
from symadj.adjoint.step import Stages, StepAdjoint, adjoint_step, output_cotangents
from symadj.adjoint.times import TimeGradient, output_time_gradient
from symadj.adjoint.timetable import Timetable
from symadj.forward.carried import Replayer
from symadj.forward.implicit import solve_stages
from symadj.forward.solve import Integration
from symadj.forward.trajectory import Stats, StepGrid, anchors
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


def adjoint_sweep(  # noqa: PLR0912, PLR0915 - the backward pass, to be read in one piece
    ivp: Integration,
    steps: StepGrid,
    kept: KeptStates,
    y0: Tensor,
    y_end: Tensor | None,
    cotangents: Tensor,
    params: Sequence[Tensor],
    stats: Stats,
    *,
    activations: Activations | None = None,
    keeps_activations: bool = False,
    graphs: int = 1,
    num_required: int | None = None,
    is_complete: bool = False,
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
    kept : KeptStates
        What was kept of them: asked for the states of each step, from the last to the first.
    y0 : Tensor, shape (n,)
        Initial state.
    y_end : Tensor, shape (n,), or None
        State at the end of the last step; None to make it again where it is needed.
    cotangents : Tensor, shape (T, n)
        ∂L/∂ys.
    params : sequence of Tensor
    stats : Stats
        Its backward fields are written.
    activations : Activations, optional
        Graphs of the evaluations that the forward solve has made, where they are kept. Let go of
        as the steps are done with.
    keeps_activations : bool
        Whether they are to be left as they are, for another backward pass.
    graphs : int
        How many stages have their graph alive at once, where stages are made again.
    num_required : int, optional
        How many of the parameters get zeros where ``f`` does not use them; the others get None.
        All, unless given.
    is_complete : bool
        Whether ``params`` are to be all that ``f`` reads, so that another one is an error.
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
    pullback = Pullback(
        ivp.field,
        params,
        want_time=knots is not None,
        num_required=num_required,
        is_complete=is_complete,
        are_batches=is_batch(cotangents),
        keeps_graphs=activations is not None and (keeps_activations or activations.is_shared),
    )
    time_gradient = None
    if knots is not None:
        time_gradient = TimeGradient(
            knots, cotangents, anchors(steps, has_grid=ivp.step_sizes.has_grid)
        )
    compiled = CompiledSweep.of(ivp.compiled, pullback, params, time_gradient, steps, cotangents)
    # Between the steps of a run nobody looks, and nothing is brought back.
    has_runs = compiled is not None and replayer is None and not ivp.observer.calls
    if compiled is not None and has_runs:
        of_y0 = compiled.cross(steps, kept, y_end, cotangents, ivp.interpolant)
        if of_y0 is not None:
            compiled.finish()
            _count(stats, pullback, ivp.field.nfe - nfe_before)
            by_output = _by_output(cotangents, output_slopes)
            return Gradients(of_y0, pullback.param_gradients, times=by_output, knots=None)
    timetable = Timetable(ivp.clock(y0), steps)
    weights = Weights(ivp.tableau, y0)
    adjoint = StepAdjoint(ivp.tableau, weights, pullback, time_gradient)
    adjoint_state = torch.zeros_like(cotangents[0])
    explicit = ivp.tableau.is_explicit
    replay = Replay(pullback, weights, y0, graphs)
    gatherers = _Gatherers(weights, replay, cotangents[0])
    first_crossed, replays = len(steps), False
    y_next, next_shares = y_end, False
    del y_end  # the last step's alone
    inside = output_cotangents(ivp, steps[-1], cotangents) if steps else None
    for index in reversed(range(first_crossed)):
        if index >= first_crossed:
            continue
        if compiled is not None and has_runs:
            crossed = compiled.transpose_run(steps, index, kept, adjoint_state, replays=replays)
            if crossed is not None:
                adjoint_state, first_crossed, y_next = crossed
                inside, next_shares = None, steps[first_crossed].shares_first_slope
                if first_crossed:
                    inside = output_cotangents(ivp, steps[first_crossed - 1], cotangents)
                continue
        step, h = steps[index], steps[index].stretch.h
        y, *others = kept.of_step(index)
        evaluations, end = NO_GRAPHS
        if activations is not None:
            evaluations, end = activations.of_step(index, keeps=keeps_activations)
        has_graphs = bool(evaluations)
        stages = Stages((y, *others) if explicit else others, evaluations)
        is_replayed = replays = not has_graphs and len(others) + explicit < weights.num_stages
        ivp.observer.tell("step_adjoint", step.stretch.t0, y, h)
        pullback.looks = True
        pullback.look_at(reversed(evaluations.values()))
        before = output_cotangents(ivp, steps[index - 1], cotangents) if index else None
        pulls_end = inside is not None and ivp.interpolant.uses_end_slope and not next_shares
        if replayer is not None and not has_graphs:
            made = 0
            if is_replayed:  # the last stage's slope only where something hangs on it
                makes_all = graphs > 1 or (pulls_end and y_next is None)
                made = weights.num_stages - (not makes_all)
            replayer.expect(step.carried[:made])
            replayer.expect(step.carried[-1:] if pulls_end else ())
            with_graph = graphs if is_replayed and graphs > 1 else 0
            replayer.expect(step.carried[: max(weights.num_stages - with_graph, 0)][::-1])
        if compiled is not None and is_replayed and not (pulls_end and y_next is None):
            states = compiled.replay(y, step)
            if states is not None:
                stages, is_replayed = Stages(states), False
        is_prepared = compiled is None or is_replayed
        if is_prepared:
            times = () if has_graphs else timetable[index]
            weights.scale(h)
        if is_replayed and explicit:
            stages, y_next = replay(y, times, y_next, want_end=pulls_end)
        elif is_replayed:
            stages = Stages(solve_stages(ivp.field, ivp.tableau, y, times, h).stage_states)
        if inside is not None and pulls_end and y_next is not None:
            cotangent = inside.of_slope(-1)
            pulled = None
            if end is not None:
                with torch.enable_grad():
                    pulled = pullback.pull(end, cotangent)
                end = None
            elif compiled is not None:
                pulled = compiled.pull_end(step, y_next, cotangent)
            if pulled is None:
                end_time = (times if is_prepared else timetable[index])[-1]
                with torch.enable_grad():
                    pulled = pullback(end_time, y_next, cotangent)
            state = adjoint.collect(index, 1.0, h, pulled, cotangent)
            if state is not None:
                adjoint_state = adjoint_state + state
            del cotangent, pulled, state
        if step.has_end_output:
            adjoint_state = adjoint_state + cotangents[step.outputs.stop - 1]
        handed_on = None
        if step.shares_first_slope and before is not None and ivp.interpolant.uses_end_slope:
            handed_on = before.of_slope(-1)
        next_shares = step.shares_first_slope
        transposed = None
        if compiled is not None:
            transposed = compiled.transpose(
                index, step, stages.states, adjoint_state, inside, handed_on
            )
        if transposed is None:
            if not is_prepared:
                times = timetable[index]
                weights.scale(h)
            if compiled is not None and explicit and compiled.lacks_stages(stages.states):
                stages, _ = replay(y, times, y_next, want_end=False)
            step_parts = (index, h, times, stages, adjoint_state, inside, handed_on)
            if explicit:
                gatherer = gatherers.of_step(is_replayed=is_replayed)
                transposed = adjoint_step(adjoint, gatherer, *step_parts)
            else:
                transposed = implicit_adjoint_step(adjoint, gatherers.implicit, *step_parts)
        adjoint_state = transposed
        ivp.observer.tell("accept_step_adjoint", step.stretch.t0, y, h)
        inside, y_next = before, y
        del stages, others, evaluations, end  # before the states of the next step are made
    if compiled is not None:
        compiled.finish()
    _count(stats, pullback, ivp.field.nfe - nfe_before)

    by_output = _by_output(cotangents, output_slopes)
    if by_output is not None and time_gradient is not None:
        time_gradient.add_outputs(steps, by_output)
    by_knot = None if time_gradient is None else time_gradient.knots
    of_y0 = adjoint_state + cotangents[0]
    return Gradients(of_y0, pullback.param_gradients, times=by_output, knots=by_knot)


def _count(stats: Stats, pullback: Pullback, nfe: int) -> None:
    """Enter into the statistics what a backward pass took."""
    stats.nfe_backward, stats.nvjp = nfe, pullback.num_calls
    stats.num_replayed = nfe - pullback.num_evaluations


def _by_output(cotangents: Tensor, output_slopes: Tensor | None) -> Tensor | None:
    return None if output_slopes is None else output_time_gradient(cotangents, output_slopes)


class _Gatherers:
    """What gathers that which the stages of a step hand on; each made when it is needed first."""

    def __init__(self, weights: Weights, replay: Replay, like: Tensor) -> None:
        self._weights = weights
        self._replay = replay
        self._like = like

    def of_step(self, *, is_replayed: bool) -> SlopeCotangents:
        """Return what serves an explicit step."""
        if is_replayed and self._replay.needs_slopes:
            return self._in_place_of_slopes
        if is_replayed and self._replay.has_all_graphs:
            return self._as_graphs_go
        return self._scattered

    @cached_property
    def implicit(self) -> AdjointSlopes:
        """What serves an implicit step."""
        return AdjointSlopes(self._rows().T)

    @cached_property
    def _scattered(self) -> Scattered:
        return Scattered(self._weights, self._like)

    @cached_property
    def _in_place_of_slopes(self) -> Gathered:
        places = self._rows().unbind() if is_batch(self._like) else self._replay.slopes.k
        return Gathered(self._weights, places)

    @cached_property
    def _as_graphs_go(self) -> Gathered:
        return Gathered(self._weights, None)

    def _rows(self) -> Tensor:
        return self._like.new_empty(self._weights.num_stages, self._like.numel())
