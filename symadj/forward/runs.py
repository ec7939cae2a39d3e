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
from symadj.forward.nativeruns import UNCHOSEN, Goals, NativeRun
from symadj.forward.slopes import SlopeList
from symadj.forward.steplog import Notes, StepLog
from symadj.forward.trajectory import KeepStep, KeepTable, Stats, Step, Stretch


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
    keep_table : callable or None
        Told in its place of the states of many.
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
        keep_table: KeepTable | None,
        want_stages: bool,
    ) -> None:
        self._compiled, self._control, self._end_side = compiled, control, end_side
        self._stats, self._keep_step, self._times = stats, keep_step, goals.times
        self._keep_table = keep_table
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

    def advance(self, at: Position, slopes: SlopeList, steps: StepLog) -> Position:
        """Take steps for as long as nothing happens but that they pass outputs, at the most.

        Parameters
        ----------
        at : Position
        slopes : SlopeList
            Holds the first slope of the next step, unless each step makes it for itself, or it is
            the first of all that are taken in C++.
        steps : StepLog
            Accepted ones are put there.

        Returns
        -------
        Position
            Where the next step is to be tried, by the loop that looks at everything.
        """
        if self._call is None or not at.was_finite:
            return at
        if self._native is None:
            return self._by_loop(self._call, at, slopes, steps)
        slope = slopes.k[0] if slopes.has_first else None
        at, slopes.k[0] = self._by_native_loop(self._native, at, slope, steps)
        return at

    def take_all(self, y: Tensor, first_step: float, steps: StepLog) -> Tensor | None:
        """Take all steps of a solve in C++, which makes the first slope, too.

        Parameters
        ----------
        y : Tensor, shape (n,)
            The initial state.
        first_step : float
            Size of the first step, without sign, or `UNCHOSEN`.
        steps : StepLog

        Returns
        -------
        Tensor, shape (n,), or None
            The state at the end; None if there is a step, or an error, that C++ leaves to others.
        """
        if self._native is None:
            return None
        carry = (first_step, 0.0, 0.0)
        at = Position(self._times[0], y, carry, 1, 0, 0, shares_first_slope=False, was_finite=True)
        at, _ = self._by_native_loop(self._native, at, None, steps)
        is_done = at.next_output == len(self._times) and self.finite is at.y
        return at.y if is_done else None

    def _by_native_loop(
        self, native: NativeRun, at: Position, slope: Tensor | None, steps: StepLog
    ) -> tuple[Position, Tensor]:
        """Return where the steps have led, and the slope there."""
        t, y, carry, next_output, attempts, side, shares_first_slope, was_finite = at
        while True:
            taken = native.advance(
                *(t, y, carry, next_output, attempts, side, slope),
                shares_first_slope=shares_first_slope,
            )
            count, was_finite = len(taken.steps), taken.was_finite
            if count:
                self._accept_noted(taken.steps, taken.states, steps)
                t, y, next_output = taken.steps.end, taken.states[-1], taken.steps.outputs[-1]
                side, shares_first_slope = -1, True
            self.finite = y if taken.is_finite else None
            self._compiled.field.nfe += carry[0] == UNCHOSEN != taken.carry[0]
            carry, attempts, slope = taken.carry, taken.attempts, taken.slope
            self._stats.num_rejected += taken.num_tried - count
            self._compiled.count(taken.num_tried)
            if not (taken.is_full and was_finite):
                break
        at = Position(t, y, carry, next_output, attempts, side, shares_first_slope, was_finite)
        return at, slope

    def _by_loop(
        self,
        call: Shortcut,
        at: Position,
        slopes: SlopeList,
        steps: StepLog,
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

    def _accept_noted(self, noted: Notes, states: Tensor, steps: StepLog) -> None:
        """Enter accepted steps, with their states as `NativeRun` returns them."""
        self._stats.num_accepted += len(noted)
        if self._keep_table is not None:
            self._keep_table(states)
        elif self._keep_step is not None:
            width, each = 1 + self._num_kept, states.unbind()
            for index in range(len(noted)):
                self._keep_step(noted.step(index), each[width * index : width * (index + 1)], ())
        steps.note(noted)

    def _accept(self, step: Step, y: Tensor, kept: Sequence[Tensor], steps: StepLog) -> None:
        """Enter an accepted step, from a state, with the stage states that are kept of it."""
        self._stats.num_accepted += 1
        if self._keep_step is not None:
            self._keep_step(step, (y, *kept), ())
        steps.append(step)
