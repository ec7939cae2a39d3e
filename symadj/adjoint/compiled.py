"""Steps transposed as compiled graphs: `symadj.adjoint.step`, traced by ``torch.compile``.

The stages of a step are transposed one after the other in one graph, each with its own evaluation
of ``f``. The stage states come in from outside: made again in a graph of their own, or kept. In
one graph with their replay the compiler sees that ``f`` is evaluated twice at each, and keeps what
the second needs: the activations of all stages at once. So that is done for small steps alone.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from symadj.adjoint.crossing import MOST_STATE_BYTES, MOST_STEPS, Crossing
from symadj.adjoint.pullback import Pullback, Pulled
from symadj.adjoint.snapshots import KeptStates, Snapshots
from symadj.adjoint.step import OutputCotangents, StageStates
from symadj.adjoint.times import TimeGradient
from symadj.forward.calls import Asked
from symadj.forward.compiled import CompiledSteps
from symadj.forward.graphs import Shortcut
from symadj.forward.interpolation import Interpolant
from symadj.forward.products import product
from symadj.forward.steplog import Notes, StepLog
from symadj.forward.traced import Method, Traced, end_time, replay_function, slope_of, stage_times
from symadj.forward.trajectory import Step, StepGrid, Stretch
from symadj.forward.transforms import is_batch
from symadj.state import Packing

MOST_BYTES_FROM_START = 2**20
"""What the graph of a step may compute that makes the stage states again and transposes them: it
keeps all of it at once, and evaluates ``f`` once at each."""

MOST_BYTES = 8 * 2**20
"""What the graph of a transposed step may compute: the compiler may keep it all at once. Beyond,
each stage is a graph of its own, so that one is alive at a time; it is then large enough for that
to cost nothing."""


def _pull(
    field: tuple[Any, Packing, tuple[Any, ...]],
    where: tuple[Tensor, Tensor, Tensor],
    params: Sequence[Tensor],
    totals: Sequence[Tensor],
    is_used: list[bool],
    *,
    want_time: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor]:
    """Evaluate ``f`` and pull a cotangent back through it, within a graph.

    Parameters
    ----------
    field : tuple
        ``f``, the form of its state, its arguments.
    where : tuple of Tensor
        Time, state and cotangent of the slope.
    params, totals : sequence of Tensor
        What gets a gradient beside state and time, and to what it is added.
    is_used : list of bool
        Is told which of them ``f`` reads.
    want_time : bool

    Returns
    -------
    tuple of Tensor or None
        Gradients of state and time, and the slope.
    """
    state = where[1].detach().requires_grad_()
    time = where[0].detach().requires_grad_(want_time)
    with torch.enable_grad():
        slope = slope_of(*field, time, state)
    flat = slope.detach().to(state.dtype)
    if not slope.requires_grad:
        return None, None, flat
    leaves = (state, time) if want_time else (state,)
    gradients = torch.autograd.grad(
        slope, (*leaves, *params), where[2].to(slope.dtype), allow_unused=True
    )
    for place, gradient in enumerate(gradients[len(leaves) :]):
        if gradient is not None:
            totals[place].add_(gradient)
            is_used[place] = True
    return gradients[0], gradients[1] if want_time else None, flat


def _pull_function(*, want_time: bool) -> Traced:
    """Return a function that pulls back through one stage."""

    def pull(
        func: Any,
        packing: Packing,
        args: tuple[Any, ...],
        params: Sequence[Tensor],
        totals: Sequence[Tensor],
        t: Tensor,
        y: Tensor,
        cotangent: Tensor,
    ) -> Any:
        is_used = [False] * len(params)
        of_state, of_time, slope = _pull(
            (func, packing, args), (t, y, cotangent), params, totals, is_used, want_time=want_time
        )
        return of_state, of_time, slope if want_time else None, *is_used

    return pull


def _transpose_function(method: Method, *, want_time: bool, replays: bool = False) -> Traced:
    """Return a function that carries the adjoint state across a step, from its end to its start.

    Parameters
    ----------
    method : Method
    want_time : bool
        Whether gradients with respect to time are wanted.
    replays : bool
        Whether it is given the state at the start alone, and makes the other stage states again.
    """
    num_stages, replay = len(method.rows), replay_function(method)

    def transpose(
        func: Any,
        packing: Packing,
        args: tuple[Any, ...],
        params: Sequence[Tensor],
        totals: Sequence[Tensor],
        adjoint_state: Tensor,
        span: Tensor,
        inside: Tensor | None,
        *states: Tensor,
    ) -> Any:
        times, h = stage_times(method.nodes, span, adjoint_state), span[1].to(adjoint_state.dtype)
        if replays:
            states = (*states, *replay(func, packing, args, states[0], span))
        total, by_time, by_size = adjoint_state, [], []
        pulled: dict[int, Tensor] = {}
        is_used = [False] * len(params)
        for i in reversed(range(num_stages)):
            cotangent = h * method.b[i] * adjoint_state
            for j, share in pulled.items():
                if method.rows[j][i]:
                    cotangent = cotangent + h * method.rows[j][i] * share
            if inside is not None:
                cotangent = cotangent + inside[i]
            of_state, of_time, slope = _pull(
                (func, packing, args),
                (times[i], states[i], cotangent),
                params,
                totals,
                is_used,
                want_time=want_time,
            )
            if of_state is not None:
                pulled[i] = of_state.to(adjoint_state.dtype)
                total = total + pulled[i]
            if want_time:
                by_time.append(torch.zeros_like(times[i]) if of_time is None else of_time)
                by_size.append(torch.dot(cotangent, slope))
        stacked = (torch.stack(by_time), torch.stack(by_size)) if want_time else ()
        return total, *stacked, *is_used

    return transpose


class Crossed(NamedTuple):
    """Where a run of steps has led.

    Attributes
    ----------
    adjoint_state : Tensor, shape (n,)
    first : int
        The first of the steps.
    y : Tensor, shape (n,)
        The state at its start.
    """

    adjoint_state: Tensor
    first: int
    y: Tensor


class CompiledSweep:
    """The steps of one backward pass, as graphs.

    Parameters
    ----------
    steps : CompiledSteps
    pullback : Pullback
        Counts what is done here, and gets the gradients of the parameters in the end.
    params : sequence of Tensor
    time_gradient : TimeGradient or None
        Where time's gradient is collected, if it is wanted.
    has_inside : bool
        Whether outputs inside a step have cotangents. Those of a step without any are zeros then,
        so that one graph serves all.
    """

    def __init__(
        self,
        steps: CompiledSteps,
        pullback: Pullback,
        params: Sequence[Tensor],
        time_gradient: TimeGradient | None,
        *,
        has_inside: bool,
    ) -> None:
        self.steps, self._pullback, self._time_gradient = steps, pullback, time_gradient
        self._params, self._has_inside = tuple(params), has_inside
        self._totals = [
            torch.zeros_like(param) if total is None else total
            for param, total in zip(params, pullback.param_gradients, strict=True)
        ]
        self._is_used = [total is not None for total in pullback.param_gradients]
        self._no_shares: Tensor | None = None
        self._calls: dict[bool, tuple[Shortcut, Shortcut | None]] = {}
        key = ("transpose", steps.name, time_gradient is not None)
        self._key, self._key_from_start = key, (*key, "from its start")
        # Whether a step is so small that what makes its stages again transposes them, too.
        too_large = steps.calls.graphs.too_large
        self._is_small = all(form[0] != self._key_from_start for form in too_large)
        steps.forget()

    @staticmethod
    def of(
        steps: CompiledSteps | None,
        pullback: Pullback,
        params: Sequence[Tensor],
        time_gradient: TimeGradient | None,
        taken: StepGrid,
        cotangents: Tensor,
    ) -> "CompiledSweep | None":
        """Return the backward pass over the steps taken as graphs, or None where there are none."""
        if steps is None or not steps.calls.are_on or is_batch(cotangents):
            return None
        if isinstance(taken, StepLog) and taken.notes is not None:
            has_inside = taken.notes.has_interior_outputs
        else:
            has_inside = any(step.interior_thetas for step in taken)
        return CompiledSweep(steps, pullback, params, time_gradient, has_inside=has_inside)

    def cross(
        self,
        steps: StepGrid,
        kept: KeptStates,
        y_end: Tensor | None,
        cotangents: Tensor,
        interpolant: Interpolant,
    ) -> Tensor | None:
        """Carry the adjoint state across all steps, if they are small enough for loops in C++.

        Parameters
        ----------
        steps : sequence of Step
        kept : KeptStates
        y_end : Tensor, shape (n,), or None
            State at the end of the last step.
        cotangents : Tensor, shape (T, n)
        interpolant : Interpolant

        Returns
        -------
        Tensor, shape (n,), or None
            The gradient of the initial state; None if nothing was done.
        """
        num_stages = len(self.steps.method.rows)
        if self._time_gradient is not None or y_end is None or not isinstance(kept, Snapshots):
            return None
        if not self.steps.calls.is_light:  # f may count its evaluations: more are made here
            return None
        replays = kept.per_step < num_stages
        is_small = y_end.nbytes <= MOST_STATE_BYTES and (self._is_small or not replays)
        if not is_small or not steps:
            return None
        key = self._key_from_start if replays else self._key
        are_given = (True, True, self._has_inside, *(True,) * kept.per_step)
        if not self.steps.calls.follow(key, are_given, (self._params, self._totals)):
            self.steps.calls.prepare(self._nowhere(steps[-1].stretch, y_end, kept.per_step))
        call = self.steps.calls.lean(key, range(1 + len(self._params)))
        dtype = self.steps.time_dtype(y_end)
        crossing = None if call is None else Crossing.of(call, y_end, dtype, num_stages)
        if call is None or crossing is None:
            return None
        crossing.begin(Notes.of(steps), cotangents, interpolant.rows)
        num_left, num_ends, y_next = len(steps), 0, y_end
        while num_left:
            held, addresses = kept.take_last(MOST_STEPS)
            count, ends = crossing.across(num_left - 1, addresses, y_next.data_ptr())
            num_left, num_ends, y_next = num_left - count, num_ends + ends, held[0]
        self._note([is_used for _, is_used in call.outputs], num_stages * len(steps) + num_ends)
        self.steps.field.nfe += (num_stages - 1) * len(steps) if replays else 0
        return crossing.adjoint_state()

    def _nowhere(self, stretch: Stretch, y: Tensor, num_states: int) -> Asked:
        """Return what is asked for a step of no size, at the end of another, where nothing flows.

        What is compiled for it is called: that leaves everything as it is.
        """
        nothing, (_, t1, _, _, side) = torch.zeros_like(y), stretch
        span = self.steps.span_of(Stretch(t1, t1, 0.0, side, side), y)
        states = [y.clone() for _ in range(num_states)]
        shares = self._per_slope(nothing, None, None)
        replays = num_states < len(self.steps.method.rows)
        return self._transposition((nothing, span, shares, *states), replays=replays)

    def replay(self, y: Tensor, step: Step) -> list[Tensor] | None:
        """Make the stage states of a step again; None if there is no graph for it.

        The first alone where `transpose` makes the others.
        """
        return [y] if self._is_small else self.steps.replay(y, step.stretch)

    def lacks_stages(self, states: StageStates) -> bool:
        """Whether these are what `replay` leaves to be done by `transpose`."""
        return isinstance(states, list) and len(states) < len(self.steps.method.rows)

    def transpose(
        self,
        index: int,
        step: Step,
        states: StageStates,
        adjoint_state: Tensor,
        inside: OutputCotangents | None,
        handed_on: Tensor | None,
    ) -> Tensor | None:
        """Carry the adjoint state across a step; parameters as for `adjoint_step`.

        Returns
        -------
        Tensor, shape (n,), or None
            ``λ_n``; None if there is no graph for it.
        """
        if not self.steps.calls.are_on:
            return None
        shares = self._per_slope(adjoint_state, inside, handed_on)
        result = None
        if self.lacks_stages(states):
            y = states[0]
            result = self._transposed(step, (y,), adjoint_state, shares)
            if result is not None:
                self.steps.field.nfe += len(self.steps.method.rows) - 1
            elif self.steps.calls.are_on:
                self._is_small = False
                states = self.steps.replay(y, step.stretch) or states
        if result is None and not self.lacks_stages(states):
            last_first = [states[i] for i in reversed(range(len(self.steps.method.rows)))]
            result = self._transposed(step, last_first[::-1], adjoint_state, shares)
        if result is None:
            if self.steps.calls.are_on:  # the step is too large for one graph
                self._pullback.by_graph = self.pull
            return None
        total: Tensor = result[0]
        self._note(result, len(self.steps.method.rows))
        self._add_times(index, step, result[1:])
        return total if inside is None else total + inside.cotangents.sum(0)

    def _transposed(
        self,
        step: Step,
        states: Sequence[Tensor],
        adjoint_state: Tensor,
        shares: Tensor | None,
    ) -> Sequence[Any] | None:
        """Call the graph for a step, of which all stage states are given or the first alone."""
        span = self.steps.span_of(step.stretch, adjoint_state)
        replays = self.lacks_stages(list(states))
        changing = (adjoint_state, span, shares, *states)
        return self.steps.calls.call(self._transposition(changing, replays=replays))

    def _transposition(self, changing: tuple[Tensor | None, ...], *, replays: bool) -> Asked:
        """Return what is asked for a step.

        Parameters
        ----------
        changing : tuple of Tensor or None
            Adjoint state, span, shares, and stage states.
        replays : bool
            Whether the first of these alone is there.
        """
        make = functools.partial(
            _transpose_function,
            self.steps.method,
            want_time=self._time_gradient is not None,
            replays=replays,
        )
        return Asked(
            self._key_from_start if replays else self._key,
            make,
            (self._params, self._totals),
            changing,
            len(self._params),
            MOST_BYTES_FROM_START if replays else MOST_BYTES,
        )

    def transpose_run(
        self,
        steps: StepGrid,
        index: int,
        kept: KeptStates,
        adjoint_state: Tensor,
        *,
        replays: bool,
    ) -> Crossed | None:
        """Carry the adjoint state across steps without outputs, with nothing else between them.

        Parameters
        ----------
        steps : sequence of Step
        index : int
            The last of them. The first is the first of all, or follows one that has outputs.
        kept : KeptStates
        adjoint_state : Tensor, shape (n,)
        replays : bool
            Whether their stages are to be made again.

        Returns
        -------
        Crossed or None
            None if there is no such step, or guards are to be checked first.
        """
        first = index + 1
        # The first slope of a step may be one that outputs inside the step before hang on.
        while first and not steps[first - 1].thetas and not (first > 1 and steps[first - 2].thetas):
            first -= 1
        calls = self._run_calls(replays=replays) if first <= index else None
        if calls is None:
            return None
        transpose, replay = calls
        num_stages = len(self.steps.method.rows)
        shares = self._per_slope(adjoint_state, None, None)
        crossed = steps[first : index + 1]
        rows = self.steps.spans_of([step.stretch for step in crossed], adjoint_state).unbind()
        for at in reversed(range(len(crossed))):
            states = kept.of_step(first + at)
            y, span = states[0], rows[at]
            if replay is not None:
                states = (y, *replay((y, span)))
            adjoint_state, *by_stage = transpose((adjoint_state, span, shares, *states))
            self._add_times(first + at, crossed[at], by_stage)
        self._pullback.count(num_stages * len(crossed))
        self.steps.field.nfe += (num_stages - 1) * len(crossed) if replays else 0
        return Crossed(adjoint_state, first, y)

    def _run_calls(self, *, replays: bool) -> tuple[Shortcut, Shortcut | None] | None:
        """Return what transposes and what replays a step; None before their guards were checked."""
        if replays not in self._calls:
            num_results = 3 if self._time_gradient is not None else 1
            from_start = replays and self._is_small
            key = self._key_from_start if from_start else self._key
            transpose = self.steps.calls.lean(key, range(num_results))
            replay = None
            if replays and not from_start:
                states = range(len(self.steps.method.rows) - 1)
                replay = self.steps.calls.lean(self.steps.replay_key, states, in_workspace=states)
            if transpose is None or (replays and not from_start and replay is None):
                return None
            self._calls[replays] = transpose, replay
        return self._calls[replays]

    def pull_end(self, step: Step, y_end: Tensor, cotangent: Tensor) -> Pulled | None:
        """Pull the cotangent of a step's end slope back, by a graph; None if there is none."""
        span = self.steps.span_of(step.stretch, y_end)
        return self.pull(end_time(span, y_end), y_end, cotangent)

    def pull(self, t: Tensor, y: Tensor, cotangent: Tensor) -> Pulled | None:
        """Do what `Pullback` does in one call, by a graph; None if there is none."""
        want_time = self._time_gradient is not None
        with torch.no_grad():
            asked = Asked(
                ("pull", want_time),
                functools.partial(_pull_function, want_time=want_time),
                (self._params, self._totals),
                (t, y, cotangent),
                most_leaves=len(self._params),
            )
            result = self.steps.calls.call(asked)
        if result is None:
            return None
        self._note(result, 1)
        return Pulled(result[0], result[1], result[2])

    def _add_times(self, index: int, step: Step, by_stage: Sequence[Any]) -> None:
        """Collect time's gradient, where it is wanted, from what a transposed step returns last."""
        if self._time_gradient is not None:
            nodes = self.steps.method.nodes[-2::-1]
            self._time_gradient.add_stages(index, nodes, step.stretch.h, *by_stage[:2])

    def _note(self, result: Sequence[Any], num_stages: int) -> None:
        """Count stages, and keep in mind which parameters ``f`` reads: the end of a result."""
        is_used = result[len(result) - len(self._params) :]
        self._is_used = [a or b for a, b in zip(self._is_used, is_used, strict=True)]
        self._pullback.count(num_stages)

    def finish(self) -> None:
        """Hand over the gradients of the parameters, and hold on to nothing."""
        self.steps.forget()
        self._pullback.by_graph = None
        gradients = self._pullback.param_gradients
        for place, total in enumerate(self._totals):
            if self._is_used[place] and gradients[place] is not total:
                other = gradients[place]
                gradients[place] = total if other is None else total + other

    def _per_slope(
        self, adjoint_state: Tensor, inside: OutputCotangents | None, handed_on: Tensor | None
    ) -> Tensor | None:
        """Return what outputs inside the step contribute to the cotangents of slopes, (s, n)."""
        if not self._has_inside:
            return None
        num_stages = len(self.steps.method.rows)
        if inside is None and handed_on is None:
            if self._no_shares is None:
                self._no_shares = adjoint_state.new_zeros(num_stages, adjoint_state.numel())
            return self._no_shares
        if inside is None:
            shares = adjoint_state.new_zeros(num_stages, adjoint_state.numel())
        else:
            shares = product(inside.weights[:, :num_stages].T, inside.cotangents)
        if handed_on is not None:
            shares[0] += handed_on
        return shares
