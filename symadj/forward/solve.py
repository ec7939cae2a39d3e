"""The time loop: the only one, for fixed grids and error control alike."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symadj.errors import MaxStepsError, NonFiniteError, StepUnderflowError
from symadj.forward.controller import ErrorControl, FixedGrid, Proposal
from symadj.forward.field import Field
from symadj.forward.interpolation import Interpolant, differentiate, evaluate
from symadj.forward.observer import Observer
from symadj.forward.slopes import Slopes, make_slopes
from symadj.forward.step import rk_step
from symadj.forward.trajectory import KeepStep, Stats, Step, Stretch
from symadj.forward.weights import Clock, Weights
from symadj.tableaus import ButcherTableau

BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Integration:
    """All of an initial value problem's solve but the tensors that may carry a gradient.

    Attributes
    ----------
    field : Field
    tableau : ButcherTableau
    interpolant : Interpolant
        How outputs inside a step are made.
    step_sizes : FixedGrid or ErrorControl
    times : tuple of float
        Initial time, then the output times, strictly monotone.
    time_dtype : torch.dtype or None
        Dtype in which the times of the stages are formed; None for the real dtype of the state.
    perturb : bool
        On a fixed grid, whether ``f`` is asked just inside each step rather than at its ends.
    observer : Observer
    """

    field: Field
    tableau: ButcherTableau
    interpolant: Interpolant
    step_sizes: FixedGrid | ErrorControl
    times: tuple[float, ...]
    time_dtype: torch.dtype | None
    perturb: bool
    observer: Observer

    def clock(self, y: Tensor) -> Clock:
        """Return what tells the times of a step's stages, for states like ``y``."""
        return Clock(self.tableau, y, self.time_dtype)


@dataclass(frozen=True, slots=True)
class Solved:
    """What a solve returns.

    Attributes
    ----------
    ys : Tensor, shape (T, n)
        The state at each of ``times``.
    steps : list of Step
        Accepted steps.
    y_end : Tensor, shape (n,)
        State at the end of the last step, at or past the last output.
    output_slopes : Tensor, shape (T, n), or None
        dy/dt of the interpolant at each output, where asked for; zero at the initial time.
    """

    ys: Tensor
    steps: list[Step]
    y_end: Tensor
    output_slopes: Tensor | None


def integrate(  # noqa: PLR0912, PLR0915 - the one time loop, to be read in one piece
    ivp: Integration,
    y0: Tensor,
    stats: Stats,
    *,
    keep_step: KeepStep | None = None,
    want_stages: bool = False,
    want_output_slopes: bool = False,
) -> Solved:
    """Integrate from ``times[0]`` until the last output has been passed.

    Parameters
    ----------
    ivp : Integration
    y0 : Tensor, shape (n,)
    stats : Stats
        Its forward fields are counted up.
    keep_step : callable, optional
        Told of each accepted step and its stage states (without ``want_stages`` of the first
        alone, which is the state at its start).
    want_stages : bool
        Whether ``keep_step`` is to be given every stage state.
    want_output_slopes : bool
        Whether the time derivative of the outputs is wanted too.

    Returns
    -------
    Solved

    Raises
    ------
    NonFiniteError, StepUnderflowError, MaxStepsError
        See `symadj.errors`; each carries the last state that was accepted.
    """
    field, times, control = ivp.field, ivp.times, ivp.step_sizes
    adaptive = isinstance(control, ErrorControl)
    weights = Weights(ivp.tableau, y0)
    slopes = make_slopes(y0, weights)
    clock = ivp.clock(y0)
    outputs = _Outputs(ivp, y0, want_slopes=want_output_slopes)

    steps: list[Step] = []
    t, y, next_output, attempts = times[0], y0, 1, 0
    # Error control looks at a step's end from within: there may be a discontinuity beyond.
    first_side, end_side = (0, -1) if adaptive else (1, -1) if ivp.perturb else (0, 0)
    carry, has_first_slope, was_finite = 0.0, False, True
    if isinstance(control, ErrorControl) and len(times) > 1:
        carry, has_first_slope = _first_step(control, field, t, y0, slopes), True

    while next_output < len(times):
        proposal = control.propose(t, carry)
        _check_attempt(ivp, t, y, proposal, attempts, was_finite)
        ivp.observer.tell("step", t, y, proposal.h)
        stretch = Stretch(t, proposal.t1, proposal.h, first_side, end_side)
        slope_times = clock(stretch)
        if not has_first_slope:
            slopes.k[0].copy_(field(slope_times[0], y))
            has_first_slope = True
        stage_states = [y]
        keep_state = stage_states.insert if want_stages else None
        weights.scale(proposal.h)
        y1 = rk_step(field, weights, slopes, y, slope_times, keep_state)
        ratio = 0.0
        if isinstance(control, ErrorControl):
            if ivp.tableau.is_fsal:
                slopes.k[-1].copy_(field(slope_times[-1], y1))
            ratio = control.error_ratio(
                slopes.combine(weights.error, weights.num_error_slopes), y, y1
            )
            was_finite = math.isfinite(ratio)
            if not was_finite:
                slopes.forget()
        attempts += 1
        accepted, carry = control.judge(proposal, ratio, carry)
        if not accepted:
            stats.num_rejected += 1
            ivp.observer.tell("reject_step", t, y, proposal.h)
            continue

        stats.num_accepted += 1
        ivp.observer.tell("accept_step", t, y, proposal.h)
        thetas = _thetas(times, next_output, stretch)
        step = Step(stretch, adaptive and bool(steps), next_output, thetas)
        if outputs.lack_end_slope(step):
            slopes.k[-1].copy_(field(slope_times[-1], y1))
        if thetas:
            polynomial = ivp.interpolant.polynomial(y, y1, slopes, weights, proposal.h)
            outputs.write(step, polynomial, y1)
        if keep_step is not None:
            keep_step(step, stage_states)
        steps.append(step)
        if thetas:
            next_output, attempts = step.outputs.stop, 0
        t, y = proposal.t1, y1
        has_first_slope = adaptive
        if adaptive:
            slopes.k[0].copy_(slopes.k[-1])
            first_side = -1

    if not bool(torch.isfinite(y).all()):
        raise _not_finite(ivp, outputs.ys)
    return Solved(outputs.ys, steps, y, outputs.slopes)


class _Outputs:
    """The outputs of a solve as they come, and their time derivatives where wanted."""

    def __init__(self, ivp: Integration, y0: Tensor, *, want_slopes: bool) -> None:
        self._ivp = ivp
        self.ys = y0.new_empty(len(ivp.times), y0.numel())
        self.ys[0] = y0
        self.slopes = torch.zeros_like(self.ys) if want_slopes else None

    def lack_end_slope(self, step: Step) -> bool:
        """Whether the end slope is needed and was not evaluated for the error estimate."""
        if self._ivp.step_sizes.is_adaptive:
            return not self._ivp.tableau.is_fsal
        thetas = step.interior_thetas if self.slopes is None else step.thetas
        return self._ivp.interpolant.uses_end_slope and bool(thetas)

    def write(self, step: Step, polynomial: Sequence[Tensor], y1: Tensor) -> None:
        """Write the outputs that lie in a step which ends with ``y1``."""
        self.ys[step.outputs] = evaluate(polynomial, step.thetas)
        if step.has_end_output and not self._ivp.step_sizes.is_adaptive:
            self.ys[step.outputs.stop - 1] = y1  # the polynomial may lack the end slope there
        if self.slopes is not None:
            self.slopes[step.outputs] = differentiate(polynomial, step.thetas, step.stretch.h)


def _first_step(
    control: ErrorControl, field: Field, t0: float, y0: Tensor, slopes: Slopes
) -> float:
    """Evaluate the first slope, and return the size of the first step."""
    t = torch.tensor(t0, dtype=y0.dtype.to_real(), device=y0.device)
    slopes.k[0].copy_(field(t, y0))
    if control.first_step is not None:
        return control.first_step
    return control.select_first_step(field, t0, y0, slopes.k[0])


def _thetas(times: Sequence[float], first: int, stretch: Stretch) -> tuple[float, ...]:
    """Return where in the stretch the outputs from ``first`` on lie, as far as it reaches."""
    thetas = []
    for time in itertools.islice(times, first, None):
        if (time - stretch.t1) * stretch.h > 0:
            break
        theta = (time - stretch.t0) / (stretch.t1 - stretch.t0)
        # Rounding must not make an output inside the step pass for one at its end.
        thetas.append(1.0 if time == stretch.t1 else min(theta, BELOW_ONE))
    return tuple(thetas)


def _check_attempt(
    ivp: Integration, t: float, y: Tensor, proposal: Proposal, attempts: int, was_finite: bool
) -> None:
    """Raise where no further step can be tried from ``(t, y)``."""
    control = ivp.step_sizes
    if not isinstance(control, ErrorControl):
        return
    state = ivp.field.packing.unpack(y)
    size = abs(proposal.h)
    if not was_finite and (proposal.t1 == t or size <= control.min_step):
        raise NonFiniteError(
            f"f, or the state, is NaN or infinite just after t = {t!r}, however small the step "
            f"(the last tried was {size:.3g}): every entry must be finite. Look there for a "
            f"singularity, or for a solution that blows up; the error's t and y hold the last "
            f"good state.",
            t=t,
            y=state,
        )
    if proposal.t1 == t:
        raise StepUnderflowError(
            f"The step size fell to {size:.3g} at t = {t!r}, where adding it changes nothing: the "
            f"error estimate cannot be brought below the tolerance. Allowed is any step that moves "
            f"t. Loosen rtol and atol, use float64, set options={{'min_step': ...}}, or treat "
            f"the problem as stiff.",
            t=t,
            y=state,
        )
    if attempts >= control.max_attempts:
        raise MaxStepsError(
            f"max_num_steps = {control.max_attempts} steps were tried since the last output and "
            f"t = {t!r} is as far as they led; the next output is at or before "
            f"{ivp.times[-1]!r}. Raise options={{'max_num_steps': ...}}, loosen rtol and atol, or "
            f"treat the problem as stiff.",
            t=t,
            y=state,
        )


def _not_finite(ivp: Integration, ys: Tensor) -> NonFiniteError:
    """Return the error for a solve that ended in NaN or infinity, with its last good output."""
    good = torch.isfinite(ys).flatten(1).all(1).tolist()
    last = max(good.index(False) - 1, 0) if False in good else len(good) - 1
    return NonFiniteError(
        f"The state became NaN or infinite after t = {ivp.times[last]!r}: every entry must be "
        f"finite. Take smaller steps, or an adaptive method such as 'dopri5'; the error's t and y "
        f"hold the last good output.",
        t=ivp.times[last],
        y=ivp.field.packing.unpack(ys[last]),
    )
