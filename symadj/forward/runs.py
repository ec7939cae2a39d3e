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
from symadj.forward.nativeruns import NativeRun
from symadj.forward.slopes import SlopeList
from symadj.forward.trajectory import KeepStep, Stats, Step, Stretch


class Position(NamedTuple):
    """Where a time loop stands.

    Attributes
    ----------
    t : float
    y : Tensor, shape (n,)
    carry : tuple of float
        Of the controller.
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
    attempts: int
    first_side: int
    shares_first_slope: bool
    was_finite: bool


class StepRun:
    """Runs of steps in one solve.

    Parameters
    ----------
    compiled : CompiledSteps
        A step of which was taken already: its guards hold.
    control : FixedGrid, EqualSteps or ErrorControl
    y : Tensor, shape (n,)
        A state.
    end_side : int
        Of every step; see `Stretch`.
    stats : Stats
        Its steps are counted up.
    keep_step : callable or None
        Told of each accepted step.
    want_stages : bool
        Whether it is told of all stage states.
    """

    def __init__(
        self,
        compiled: CompiledSteps,
        control: FixedGrid | EqualSteps | ErrorControl,
        y: Tensor,
        end_side: int,
        stats: Stats,
        keep_step: KeepStep | None,
        want_stages: bool,
    ) -> None:
        self._compiled, self._control, self._end_side = compiled, control, end_side
        self._stats, self._keep_step = stats, keep_step
        self._num_kept = len(compiled.method.rows) - 1 if want_stages else 0
        self._call = compiled.lean_step(y, self._num_kept)
        self._native = None
        if self._call is not None:
            self._native = NativeRun.of(self._call, control, y, compiled.time_dtype(y), end_side)

    def advance(
        self, at: Position, slopes: SlopeList, until: float, steps: list[Step], next_output: int
    ) -> Position:
        """Take steps for as long as they end before an output.

        Parameters
        ----------
        at : Position
        slopes : SlopeList
            Holds the first slope of the next step, unless each step makes it for itself.
        until : float
            The time of that output.
        steps : list of Step
            Accepted ones are put there.
        next_output : int
            Its index.

        Returns
        -------
        Position
            Where the next step is to be tried, by the loop that looks at everything.
        """
        if self._call is None or not at.was_finite:
            return at
        if self._native is not None:
            return self._by_native_loop(self._native, at, slopes, until, steps, next_output)
        return self._by_loop(self._call, at, slopes, until, steps, next_output)

    def _by_native_loop(
        self,
        native: NativeRun,
        at: Position,
        slopes: SlopeList,
        until: float,
        steps: list[Step],
        next_output: int,
    ) -> Position:
        t, y, carry, attempts, side, shares_first_slope, was_finite = at
        width, is_full = 1 + self._num_kept, True
        while is_full and was_finite:
            left = self._control.max_attempts - attempts
            taken = native.advance(t, y, carry, until, side, slopes.k[0], left)
            states, was_finite, is_full = taken.states, taken.was_finite, taken.is_full
            for index in range(len(states) // width):
                t, t1, h = taken.times[3 * index : 3 * index + 3]
                y1, *kept = states[width * index : width * index + width]
                stretch = Stretch(t, t1, h, side, self._end_side)
                self._accept(Step(stretch, shares_first_slope, next_output, ()), y, kept, steps)
                t, y, side, shares_first_slope = t1, y1, -1, True
            carry, attempts = taken.carry, attempts + taken.num_tried
            slopes.k[0] = taken.slope
            self._stats.num_rejected += taken.num_tried - len(states) // width
            self._compiled.count(taken.num_tried)
        return Position(t, y, carry, attempts, side, shares_first_slope, was_finite)

    def _by_loop(
        self,
        call: Shortcut,
        at: Position,
        slopes: SlopeList,
        until: float,
        steps: list[Step],
        next_output: int,
    ) -> Position:
        control, end_side = self._control, self._end_side
        t, y, carry, attempts, first_side, shares_first_slope, was_finite = at
        first_slope = None if self._compiled.makes_first else slopes.k[0]
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
            self._accept(step, y, made[: self._num_kept], steps)
            t, y = t1, y1
            if first_slope is not None:
                first_slope, first_side, shares_first_slope = made[-1], -1, True
        self._compiled.count(num_tried)
        if first_slope is not None:
            slopes.k[0] = first_slope
        return Position(t, y, carry, attempts, first_side, shares_first_slope, was_finite)

    def _accept(self, step: Step, y: Tensor, kept: Sequence[Tensor], steps: list[Step]) -> None:
        """Enter an accepted step, from a state, with the stage states that are kept of it."""
        self._stats.num_accepted += 1
        if self._keep_step is not None:
            self._keep_step(step, (y, *kept), ())
        steps.append(step)
