"""Steps by a graph, one after the other, with nothing between them but the control of their size.

It is the time loop of `symadj.forward.solve` without what happens at outputs, at the ends that were
prescribed, and where something fails: there it stops, and leaves the step to that loop.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from symadj.forward.compiled import CompiledSteps
from symadj.forward.controller import Carry, EqualSteps, ErrorControl, FixedGrid
from symadj.forward.graphs import Shortcut
from symadj.forward.nativeruns import Goals, NativeRun
from symadj.forward.slopes import SlopeList
from symadj.forward.trajectory import KeepStep, Stats, Step, Stretch, thetas_in


class Position(NamedTuple):
    """Where a time loop stands.

    Attributes
    ----------
    t : float
    y : Tensor, shape (n,)
    carry : tuple of float
        Of the controller.
    next_output : int
    attempts : int
        Steps tried since the last output.
    first_side : int
        Of the next step; see `Stretch`.
    shares_first_slope : bool
        Whether the first slope is the end slope of the step before.
    was_finite : bool
        Whether the error of the latest step tried was a number.
    """

    t: float
    y: Tensor
    carry: Carry
    next_output: int
    attempts: int
    first_side: int
    shares_first_slope: bool
    was_finite: bool


class StepRun:
    """Runs of steps in one solve.

    Parameters
    ----------
    control : FixedGrid, EqualSteps or ErrorControl
    compiled : CompiledSteps
        The guards of whose step have been checked.
    y : Tensor, shape (n,)
        A state.
    end_side : int
        Of every step; see `Stretch`.
    goals : Goals
    stats : Stats
        Its steps are counted up.
    keep_step : callable or None
        Told of each accepted step.
    want_stages : bool
        Whether it is told of all stage states.

    Attributes
    ----------
    finite : Tensor, shape (n,), or None
        A state that is known to be finite.
    """

    def __init__(
        self,
        control: FixedGrid | EqualSteps | ErrorControl,
        compiled: CompiledSteps,
        y: Tensor,
        end_side: int,
        goals: Goals,
        stats: Stats,
        keep_step: KeepStep | None,
        want_stages: bool,
    ) -> None:
        self._compiled, self._control, self._end_side = compiled, control, end_side
        self._stats, self._keep_step, self._times = stats, keep_step, goals.times
        self._num_kept = len(compiled.method.rows) - 1 if want_stages else 0
        self._call = compiled.lean_step(y, self._num_kept)
        self._native: NativeRun | None = None
        self.finite: Tensor | None = None
        if self._call is not None and isinstance(control, ErrorControl):
            dtype = compiled.time_dtype(y)
            self._native = NativeRun.of(self._call, self._num_kept, y, dtype)
            if self._native is not None:
                self._native.begin(control, end_side, goals)

    @property
    def is_native(self) -> bool:
        """Whether C++ takes the steps, and makes the first slope of all if it is not there."""
        return self._native is not None

    def advance(self, at: Position, slopes: SlopeList, steps: list[Step]) -> Position:
        """Take steps for as long as nothing happens but that they pass outputs, at the most.

        Parameters
        ----------
        at : Position
        slopes : SlopeList
            Holds the first slope of the next step, unless each step makes it for itself, or it is
            the first of all that are taken in C++.
        steps : list of Step
            Accepted ones are put there.

        Returns
        -------
        Position
            Where the next step is to be tried, by the loop that looks at everything.
        """
        if self._call is None or not at.was_finite:
            return at
        if self._native is not None:
            return self._by_native_loop(self._native, at, slopes, steps)
        return self._by_loop(self._call, at, slopes, steps)

    def _by_native_loop(
        self, native: NativeRun, at: Position, slopes: SlopeList, steps: list[Step]
    ) -> Position:
        t, y, carry, next_output, attempts, side, shares_first_slope, was_finite = at
        width, is_full = 1 + self._num_kept, True
        while is_full and was_finite:
            slope = slopes.k[0] if slopes.has_first else None
            taken = native.advance(t, y, carry, next_output, attempts, side, slope)
            states, was_finite, is_full = taken.states, taken.was_finite, taken.is_full
            for index, (t0, t1, h, following) in enumerate(taken.steps):
                y1, *kept = states[width * index : width * index + width]
                stretch = Stretch(t0, t1, h, side, self._end_side)
                passes = following > next_output
                thetas = thetas_in(stretch, self._times, next_output) if passes else ()
                step = Step(stretch, shares_first_slope, next_output, thetas)
                self._accept(step, y, kept, steps)
                t, y, side, shares_first_slope, next_output = t1, y1, -1, True, following
            self.finite = y if taken.is_finite else None
            carry, attempts, slopes.k[0] = taken.carry, taken.attempts, taken.slope
            self._stats.num_rejected += taken.num_tried - len(taken.steps)
            self._compiled.count(taken.num_tried)
        return Position(t, y, carry, next_output, attempts, side, shares_first_slope, was_finite)

    def _by_loop(
        self,
        call: Shortcut,
        at: Position,
        slopes: SlopeList,
        steps: list[Step],
    ) -> Position:
        control, end_side = self._control, self._end_side
        t, y, carry, next_output, attempts, first_side, shares_first_slope, was_finite = at
        until = self._times[next_output]
        first_slope = None if self._compiled.makes_first else slopes.k[0]
        first_kept = 0 if first_slope is None else 1
        numbers, span = self._compiled.changing_span(y)
        direction = math.copysign(1.0, until - t)
        num_tried = 0
        while was_finite:
            proposal = control.propose(t, carry)
            t1, h, has_fixed_end, ends_at_jump = proposal
            if (
                (t1 - until) * direction >= 0
                or t1 == t
                or has_fixed_end
                or ends_at_jump
                or attempts >= control.max_attempts
            ):
                break
            numbers[0], numbers[1], numbers[2] = t, h, t1
            numbers[3], numbers[4] = first_side * direction, end_side * direction
            y1, error, *made = call((y, span, first_slope))
            ratio = 0.0 if error is None else abs(float(error))
            num_tried, attempts = num_tried + 1, attempts + 1
            was_finite = math.isfinite(ratio)
            accepted, carry = control.judge(proposal, ratio, carry)
            if not accepted:
                self._stats.num_rejected += 1
                continue
            stretch = Stretch(t, t1, h, first_side, end_side)
            step = Step(stretch, shares_first_slope, next_output, ())
            self._accept(step, y, made[first_kept : first_kept + self._num_kept], steps)
            t, y = t1, y1
            if first_slope is not None:
                first_slope, first_side, shares_first_slope = made[0], -1, True
        self._compiled.count(num_tried)
        if first_slope is not None:
            slopes.k[0] = first_slope
        return Position(
            t, y, carry, next_output, attempts, first_side, shares_first_slope, was_finite
        )

    def _accept(self, step: Step, y: Tensor, kept: Sequence[Tensor], steps: list[Step]) -> None:
        """Enter an accepted step, from a state, with the stage states that are kept of it."""
        self._stats.num_accepted += 1
        if self._keep_step is not None:
            self._keep_step(step, (y, *kept), ())
        steps.append(step)
