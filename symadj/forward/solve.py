"""The time loop: the only one, for fixed grids and error control alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from symadj.errors import (
    MaxStepsError,
    NonFiniteError,
    StageSolveError,
    StepUnderflowError,
)
from symadj.forward.carried import Log, Recorder
from symadj.forward.compiled import CompiledSteps, Taken
from symadj.forward.controller import Carry, EqualSteps, ErrorControl, FixedGrid, Proposal
from symadj.forward.event import Event
from symadj.forward.field import Field
from symadj.forward.implicit import estimate_error
from symadj.forward.interpolation import Interpolant, Polynomial, differentiate, evaluate
from symadj.forward.nativeruns import UNCHOSEN, Goals, may_choose
from symadj.forward.observer import Observer
from symadj.forward.runs import Position, StepRun
from symadj.forward.slopes import SlopeList, Slopes, make_slopes
from symadj.forward.step import implicit_rk_step, rk_step
from symadj.forward.steplog import StepLog
from symadj.forward.trajectory import (
    BELOW_ONE,
    KeepStep,
    KeepTable,
    Stats,
    Step,
    Stretch,
    thetas_in,
)
from symadj.forward.transforms import is_finite, is_transformed
from symadj.forward.weights import Clock, Weights
from symadj.tableaus import ButcherTableau

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Integration:
    """All of an initial value problem's solve but the tensors that may carry a gradient.

    Attributes
    ----------
    field : Field
    tableau : ButcherTableau
    interpolant : Interpolant
        How outputs inside a step are made.
    step_sizes : FixedGrid, EqualSteps or ErrorControl
    times : tuple of float
        Initial time, then the output times, strictly monotone.
    event : Event or None
        What ends the solve, before any output; there are no output times then.
    time_dtype : torch.dtype or None
        Dtype in which the times of the stages are formed; None for the real dtype of the state.
    perturb : bool
        On a fixed grid, whether ``f`` is asked just inside each step rather than at its ends.
    observer : Observer
    compiled : CompiledSteps or None
        Steps as compiled graphs, where those were asked for.
    """

    field: Field
    tableau: ButcherTableau
    interpolant: Interpolant
    step_sizes: FixedGrid | EqualSteps | ErrorControl
    times: tuple[float, ...]
    event: Event | None
    time_dtype: torch.dtype | None
    perturb: bool
    observer: Observer
    compiled: CompiledSteps | None = None

    def evaluate_at_start(self, y0: Tensor) -> Tensor:
        """Return ``f`` at the initial time and state, shape (n,)."""
        t = torch.tensor(self.times[0], dtype=y0.dtype.to_real(), device=y0.device)
        return self.field(t, y0)

    def clock(self, y: Tensor) -> Clock:
        """Return what tells the times of a step's stages, for states like ``y``."""
        return Clock(self.tableau, y, self.time_dtype)


@dataclass(frozen=True, slots=True)
class Solved:
    """What a solve returns.

    Attributes
    ----------
    times : tuple of float
        Initial time and output times; with an event, the initial time and the event's.
    ys : Tensor, shape (T, n), or None
        The state at each of ``times``; None under a transform, where the steps alone are wanted.
    steps : StepLog
        Accepted steps.
    y_end : Tensor, shape (n,)
        State at the end of the last step, at or past the last output.
    output_slopes : Tensor, shape (T, n), or None
        dy/dt of the interpolant at each output, where asked for; zero at the initial time.
    polynomials : list of Polynomial, or None
        The interpolant of each step, where asked for.
    """

    times: tuple[float, ...]
    ys: Tensor | None
    steps: StepLog
    y_end: Tensor
    output_slopes: Tensor | None
    polynomials: list[Polynomial] | None


def integrate(  # noqa: PLR0912, PLR0915 - the one time loop, to be read in one piece
    ivp: Integration,
    y0: Tensor,
    stats: Stats,
    *,
    keep_step: KeepStep | None = None,
    keep_table: KeepTable | None = None,
    want_stages: bool = False,
    want_output_slopes: bool = False,
    want_polynomials: bool = False,
    recorder: Recorder | None = None,
    evaluations: Log[Any] | None = None,
) -> Solved:
    """Integrate from ``times[0]`` until the last output has been passed, or an event is met.

    Parameters
    ----------
    ivp : Integration
    y0 : Tensor, shape (n,)
    stats : Stats
        Its forward fields are counted up.
    keep_step : callable, optional
        Told of each accepted step, its stage states (without ``want_stages`` of the first alone,
        which is the state at its start), and what the log of evaluations holds of it.
    keep_table : callable, optional
        May be told in its place of the states of many steps.
    want_stages : bool
        Whether ``keep_step`` is to be given every stage state.
    want_output_slopes : bool
        Whether the time derivative of the outputs is wanted too.
    want_polynomials : bool
        Whether the interpolant of every step is wanted too.
    recorder : Recorder, optional
        Called by the field before each evaluation; what it reads is kept with each step.
    evaluations : Log, optional
        What the field, by its maker, keeps of each evaluation.

    Returns
    -------
    Solved

    Raises
    ------
    NonFiniteError, StepUnderflowError, MaxStepsError
        See `symadj.errors`; each carries the last state that was accepted.
    """
    field, control, event = ivp.field, ivp.step_sizes, ivp.event
    times = list(ivp.times)
    adaptive, explicit = isinstance(control, ErrorControl), ivp.tableau.is_explicit
    weights = Weights(ivp.tableau, y0)
    compiled = ivp.compiled if ivp.compiled is not None and ivp.compiled.calls.are_on else None
    slopes = make_slopes(y0, weights) if compiled is None else SlopeList(weights)
    clock = ivp.clock(y0)
    outputs = _Outputs(ivp, y0, 2 if event else len(times), want_output_slopes, want_polynomials)
    trace, made = _Trace(recorder), _Trace(evaluations)

    steps = StepLog()
    t, y, next_output, attempts = times[0], y0, 1, 0
    # Error control looks at a step's end from within: there may be a discontinuity beyond.
    first_side, end_side = (0, 0)
    if explicit:
        first_side, end_side = (0, -1) if adaptive else (1, -1) if ivp.perturb else (0, 0)
    carry: Carry = (0.0, 0.0, 0.0)
    # The stages of an implicit step are made together, its first among them.
    has_first_slope, shares_first_slope, was_finite = not explicit, False, True
    if isinstance(control, ErrorControl) and (len(times) > 1 or event):
        carry, has_first_slope = (_first_step(ivp, control, y0, slopes, recorder), 0.0, 0.0), True
        trace.first_slope_made(0)
        made.first_slope_made(0)
    elif compiled is not None and len(times) > 1:
        compiled.begin(ivp.evaluate_at_start, y0, times[0], recorder, needs_slope=False)
    start_sign = event.sign(t, y0) if event else 0.0
    if event and start_sign == 0:
        times.append(t)

    run: StepRun | None = None
    # Between the steps of a run nobody looks, and f carries nothing.
    is_watched = ivp.observer.calls or ivp.observer.bar is not None
    carries = recorder is not None and recorder.is_needed
    has_runs = not (event or want_polynomials or is_watched or carries)
    while len(times) == 1 if event else next_output < len(times):
        is_ready = has_first_slope or (compiled is not None and compiled.makes_first)
        if has_runs and run is None and compiled is not None and compiled.is_known:
            goals = Goals(ivp.times, outputs.room, ivp.interpolant.rows)
            run = StepRun(
                *(control, compiled, y, end_side, goals, stats, keep_step, keep_table, want_stages)
            )
        is_first_left = isinstance(slopes, SlopeList) and has_first_slope and not slopes.has_first
        if compiled is not None and not (run is not None and run.is_native):
            if is_first_left:
                slopes.put(0, compiled.first_slope(y, t))
            carry = _chosen(ivp, t, y, carry, slopes)
        if run is not None and is_ready and isinstance(slopes, SlopeList):
            at = Position(
                t, y, carry, next_output, attempts, first_side, shares_first_slope, was_finite
            )
            at = run.advance(at, slopes, steps)
            t, y, carry, next_output, attempts, first_side, shares_first_slope, was_finite = at
            if next_output == len(times):
                break
            was_finite |= carry[0] == UNCHOSEN
            carry = _chosen(ivp, t, y, carry, slopes)
        proposal = control.propose(t, carry)
        _check_attempt(ivp, t, y, proposal, attempts, was_finite)
        ivp.observer.tell("step", t, y, proposal.h)
        stretch = Stretch(t, proposal.t1, proposal.h, first_side, end_side)
        trace.begin()
        made.begin()
        taken: Taken | None = None
        if compiled is not None and is_ready and isinstance(slopes, SlopeList):
            taken = compiled.attempt(slopes, y, stretch)
        slope_times = () if taken is not None else clock(stretch)
        if taken is None and not has_first_slope:
            slopes.put(0, field(slope_times[0], y))
            has_first_slope = True
            trace.first_slope_made(0)
            made.first_slope_made(0)
        ratio = 0.0
        if taken is None:
            weights.scale(proposal.h)
            stage_states, y1 = _take_step(ivp, slopes, y, slope_times, proposal.h, want_stages)
        else:
            stage_states, y1, ratio = taken
        if isinstance(control, ErrorControl):
            if y1 is None:
                ratio = control.ratio_of_failure()
            elif taken is None:
                error = _estimate_error(ivp, slopes, t, y, y1, slope_times, proposal.h)
                ratio = control.error_ratio(error, y, y1)
            was_finite = math.isfinite(ratio)
        attempts += 1
        accepted, carry = control.judge(proposal, ratio, carry)
        if y1 is None and not adaptive:
            raise _stages_unsolved(ivp, t, y, proposal)
        if y1 is None or not accepted:
            stats.num_rejected += 1
            ivp.observer.tell("reject_step", t, y, proposal.h)
            continue

        stats.num_accepted += 1
        ivp.observer.tell("accept_step", t, y, proposal.h)
        is_crossed = event is not None and event.sign(proposal.t1, y1) != start_sign
        thetas = () if event else thetas_in(stretch, times, next_output)
        if taken is not None and (is_crossed or outputs.needs_weights(thetas)):
            weights.scale(proposal.h)
        if outputs.lack_end_slope(thetas, is_crossed):
            slopes.put(-1, field((slope_times or clock(stretch))[-1], y1))
        if event is not None and is_crossed:
            polynomial = ivp.interpolant.polynomial(y, y1, slopes, weights, proposal.h)
            theta = event.locate(start_sign, stretch, polynomial)
            times.append(t + theta * (proposal.t1 - t))
            thetas = (min(theta, BELOW_ONE),)
        step = Step(
            stretch,
            shares_first_slope,
            next_output,
            thetas,
            proposal.has_fixed_end,
            trace.take(),
        )
        outputs.write(step, y, y1, slopes, weights)
        if keep_step is not None:
            keep_step(step, stage_states if want_stages else stage_states[:1], made.take())
        steps.append(step)
        if thetas:
            next_output, attempts = step.outputs.stop, 0
        t, y = proposal.t1, y1
        if not explicit:
            continue
        shares_first_slope = has_first_slope = adaptive and not proposal.ends_at_jump
        if shares_first_slope:
            slopes.put(0, slopes.k[-1])
            first_side = -1
            trace.first_slope_made(-1)
            made.first_slope_made(-1)
        elif adaptive:
            first_side = 1  # beyond the discontinuity

    if not (run is not None and run.finite is y) and not is_finite(y):
        raise _not_finite(ivp, outputs.ys)
    return Solved(tuple(times), outputs.ys, steps, y, outputs.slopes, outputs.polynomials)


def _take_step(
    ivp: Integration,
    slopes: Slopes,
    y: Tensor,
    times: Sequence[Tensor],
    h: float,
    want_stages: bool,
) -> tuple[list[Tensor], Tensor | None]:
    """Return ``y`` and the stage states other than it, if wanted, and the state at the end."""
    kept = [y]
    keep_state = (lambda _, stage_state: kept.append(stage_state)) if want_stages else None
    if ivp.tableau.is_explicit:
        return kept, rk_step(ivp.field, slopes, y, times, keep_state)
    return kept, implicit_rk_step(ivp.field, ivp.tableau, slopes, y, times, h, keep_state)


def _estimate_error(
    ivp: Integration,
    slopes: Slopes,
    t: float,
    y: Tensor,
    y1: Tensor,
    times: Sequence[Tensor],
    h: float,
) -> Tensor:
    """Return the estimated error of a step from ``(t, y)`` to ``y1``, shape (n,)."""
    tableau, weights = ivp.tableau, slopes.weights
    if not tableau.is_explicit:
        start = torch.tensor(t, dtype=y.dtype.to_real(), device=y.device)
        return estimate_error(ivp.field, tableau, y, start, h, slopes.k[: tableau.num_stages])
    if tableau.is_fsal:
        slopes.put(-1, ivp.field(times[-1], y1))
    return slopes.combine(weights.error)


class _Trace(Generic[T]):
    """What is noted at the evaluation of each slope of a step, as the steps are tried."""

    def __init__(self, log: Log[T] | None) -> None:
        self._log = log
        self._first: T | None = None
        self._taken: list[T] = []

    def begin(self) -> None:
        """Forget what an attempt before this one has noted."""
        if self._log is None:
            return
        if self._log.is_needed:
            self._log.take()
        else:  # nor is what it has noted
            self._first, self._taken = None, []

    def first_slope_made(self, index: int) -> None:
        """Note that the first slope of the next step was the evaluation of this index."""
        if self._log is not None and self._log.is_needed:
            noted = self._taken if index < 0 else self._log.take()
            self._first, self._taken = noted[index], []

    def take(self) -> tuple[T, ...]:
        """Return what was noted of the step that was accepted."""
        if self._log is None or not self._log.is_needed or self._first is None:
            return ()
        self._taken = self._log.take()
        return (self._first, *self._taken)


class _Outputs:
    """The outputs of a solve as they come, and what else of the interpolant is wanted."""

    def __init__(
        self, ivp: Integration, y0: Tensor, count: int, want_slopes: bool, want_polynomials: bool
    ) -> None:
        self._ivp = ivp
        self.ys: Tensor | None = None
        self.slopes: Tensor | None = None
        self.polynomials: list[Polynomial] | None = [] if want_polynomials else None
        if not is_transformed():
            self.ys = y0.new_empty(count, y0.numel())
            self.ys.select(0, 0).copy_(y0)
            self.slopes = torch.zeros_like(self.ys) if want_slopes else None

    def lack_end_slope(self, thetas: tuple[float, ...], is_crossed: bool) -> bool:
        """Whether the end slope is needed and was not evaluated for the error estimate."""
        if self._ivp.step_sizes.is_adaptive and self._ivp.tableau.is_explicit:
            return not self._ivp.tableau.is_fsal
        if not self._ivp.interpolant.uses_end_slope:
            return False
        if is_crossed or self.polynomials is not None:
            return True
        moves = self.slopes is not None or self.ys is None
        return bool(thetas) and (moves or thetas[0] < 1.0)

    @property
    def _is_free(self) -> bool:
        """Whether outputs may be rounded as they come: compiled steps are not torchdiffeq's."""
        compiled = self._ivp.compiled
        return compiled is not None and compiled.calls.are_on and self.slopes is None

    @property
    def room(self) -> Tensor | None:
        """Where outputs go if nothing else is wanted at them, in whatever way they are made."""
        return self.ys if self._is_free and self.polynomials is None else None

    def needs_weights(self, thetas: tuple[float, ...]) -> bool:
        """Whether the weights of the step are read by what is written."""
        return self.polynomials is not None or (bool(thetas) and not self._is_free)

    def _passes_over_outputs(self, step: Step) -> bool:
        """Whether a step that ends at an output does so by accident."""
        control = self._ivp.step_sizes
        if not isinstance(control, ErrorControl) or not self._ivp.tableau.is_explicit:
            return False
        return step.stretch.t1 not in control.stops or step.has_fixed_end

    def write(self, step: Step, y0: Tensor, y1: Tensor, slopes: Slopes, weights: Weights) -> None:
        """Write the outputs that lie in a step from ``y0`` to ``y1``."""
        interpolant, h = self._ivp.interpolant, step.stretch.h
        if self.polynomials is not None:
            self.polynomials.append(interpolant.from_slopes(y0, slopes, h))
        if self.ys is None or not step.thetas:
            return
        if step.interior_thetas and self._is_free:
            self.ys[step.interior_outputs] = interpolant.values(y0, slopes, step.interior_thetas, h)
        elif step.interior_thetas:
            polynomial = interpolant.polynomial(y0, y1, slopes, weights, h)
            self.ys[step.interior_outputs] = evaluate(polynomial, step.interior_thetas)
            if self.slopes is not None:
                slopes_there = differentiate(polynomial, step.interior_thetas, h)
                self.slopes[step.interior_outputs] = slopes_there
        if step.has_end_output:
            self.ys[step.outputs.stop - 1] = y1
            if self._passes_over_outputs(step) and not self._is_free:  # as torchdiffeq rounds it
                polynomial = interpolant.polynomial(y0, y1, slopes, weights, h)
                self.ys[step.outputs.stop - 1] = evaluate(polynomial, (1.0,))[0]
            if self.slopes is not None:
                polynomial = interpolant.from_slopes(y0, slopes, h)
                self.slopes[step.outputs.stop - 1] = differentiate(polynomial, (1.0,), h)[0]


def _chosen(ivp: Integration, t: float, y: Tensor, carry: Carry, slopes: Slopes) -> Carry:
    """Return what a controller carries, with the size of the first step, if that was left open."""
    if carry[0] != UNCHOSEN or not isinstance(ivp.step_sizes, ErrorControl):
        return carry
    return (ivp.step_sizes.select_first_step(ivp.field, t, y, slopes.k[0]), 0.0, 0.0)


def _first_step(
    ivp: Integration, control: ErrorControl, y0: Tensor, slopes: Slopes, recorder: Recorder | None
) -> float:
    """Return the size of the first step, and evaluate the first slope unless steps make it."""
    compiled = ivp.compiled
    needs_slope = control.first_step is None and not may_choose(control)
    if compiled is not None and compiled.calls.are_on:
        begin = compiled.begin
        slope = begin(ivp.evaluate_at_start, y0, ivp.times[0], recorder, needs_slope=needs_slope)
    else:
        slope = ivp.evaluate_at_start(y0)
    if slope is not None:
        slopes.put(0, slope)
    if control.first_step is not None:
        return control.first_step
    if slope is None:  # C++ may choose it, where it takes the steps
        return UNCHOSEN
    return control.select_first_step(ivp.field, ivp.times[0], y0, slopes.k[0])


def place_outputs(times: Sequence[float], steps: Sequence[Step]) -> list[Step]:
    """Return the steps of a solve with other outputs in them.

    Parameters
    ----------
    times : sequence of float
        Initial time, then the output times in the order in which they are met, none beyond the end.
    steps : sequence of Step
    """
    placed, first = [], 1
    for step in steps:
        thetas = thetas_in(step.stretch, times, first)
        placed.append(step._replace(first_output=first, thetas=thetas))
        first += len(thetas)
    return placed


def _check_attempt(
    ivp: Integration, t: float, y: Tensor, proposal: Proposal, attempts: int, was_finite: bool
) -> None:
    """Raise where no further step can be tried from ``(t, y)``."""
    control = ivp.step_sizes
    size = abs(proposal.h)
    if attempts >= control.max_attempts:
        raise _max_steps(ivp, t, y)
    if not isinstance(control, ErrorControl):
        return
    if not was_finite and (proposal.t1 == t or size <= control.min_step):
        raise NonFiniteError(
            f"f, or the state, is NaN or infinite just after t = {t!r}, however small the step "
            f"(the last tried was {size:.3g}): every entry must be finite. Look there for a "
            f"singularity, or for a solution that blows up; the error's t and y hold the last "
            f"good state.",
            t=t,
            y=ivp.field.packing.unpack(y),
        )
    if proposal.t1 == t:
        raise StepUnderflowError(
            f"The step size fell to {size:.3g} at t = {t!r}, where adding it changes nothing: the "
            f"error estimate cannot be brought below the tolerance. Allowed is any step that moves "
            f"t. If the solution grows without bound there, end before it; else loosen rtol and "
            f"atol, use float64, set options={{'min_step': ...}}, or treat the problem as stiff.",
            t=t,
            y=ivp.field.packing.unpack(y),
        )


def _max_steps(ivp: Integration, t: float, y: Tensor) -> MaxStepsError:
    """Return the error for a solve that does not arrive."""
    aim = f"the next output is at or before {ivp.times[-1]!r}"
    if ivp.event is not None:
        aim = "event_fn has not changed its sign"
    return MaxStepsError(
        f"max_num_steps = {ivp.step_sizes.max_attempts} steps were tried since the last output and "
        f"t = {t!r} is as far as they led; {aim}. Raise options={{'max_num_steps': ...}}, loosen "
        f"rtol and atol, or treat the problem as stiff.",
        t=t,
        y=ivp.field.packing.unpack(y),
    )


def _stages_unsolved(ivp: Integration, t: float, y: Tensor, proposal: Proposal) -> StageSolveError:
    """Return the error for an implicit step on a fixed grid that cannot be taken."""
    return StageSolveError(
        f"Newton's method does not solve the stage equations of the step from t = {t!r} of size "
        f"{abs(proposal.h):.3g}. Take smaller steps, or an adaptive method, 'trbdf2' or "
        f"'radauIIA5', which does so by itself.",
        t=t,
        y=ivp.field.packing.unpack(y),
    )


def _not_finite(ivp: Integration, ys: Tensor | None) -> NonFiniteError:
    """Return the error for a solve that ended in NaN or infinity, with its last good output."""
    if ys is None:
        return NonFiniteError(
            "The state became NaN or infinite: every entry must be finite. Take smaller steps, or "
            "an adaptive method such as 'dopri5'.",
            t=ivp.times[0],
            y=None,
        )
    good = torch.isfinite(ys).flatten(1).all(1).tolist()
    last = max(good.index(False) - 1, 0) if False in good else len(good) - 1
    return NonFiniteError(
        f"The state became NaN or infinite after t = {ivp.times[last]!r}: every entry must be "
        f"finite. Take smaller steps, or an adaptive method such as 'dopri5'; the error's t and y "
        f"hold the last good output.",
        t=ivp.times[last],
        y=ivp.field.packing.unpack(ys[last]),
    )
