"""Steps under error control, and outputs, in C++: `symadj.forward.runs` where a step is small.

The loop there is that of `symadj.forward.controller`, written once more.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from symadj.forward.controller import Carry, ErrorControl, rms_norm
from symadj.forward.graphs import Shortcut
from symadj.forward.native import (
    Pointers,
    addresses,
    companion,
    numbers_of,
    pointers_of,
    seats_like,
)
from symadj.forward.steplog import SPAN, Notes
from symadj.forward.tape import Tape
from symadj.forward.transforms import outside_transforms

MOST_TABLE_BYTES = 2**16
"""What is allocated at once for the states to come. Some may never: a step that does not fit in
there often is large enough for Python to take it."""

MOST_ROWS = 64
"""Steps taken at once, at the most; and for fewer than the next number it is not worth while."""

LEAST_ROWS = 8

NUM_CHANGING = 3
"""A step is given a state, a span and a first slope, which change."""

MOST_ATTEMPTS = 2**62


UNCHOSEN = -1.0
"""In the place of the size of a first step that is still to be chosen."""


def may_choose(control: ErrorControl) -> bool:
    """Whether the loop can choose the first step: by torchdiffeq's norm, and one tolerance each."""
    has_numbers = not isinstance(control.rtol, Tensor) and not isinstance(control.atol, Tensor)
    return control.first_step is None and control.norm is rms_norm and has_numbers


class Goals(NamedTuple):
    """What a solve is after, as long as it lasts.

    Attributes
    ----------
    times : tuple of float
        Initial time, then the output times.
    room : Tensor, shape (T, n), or None
        Where outputs go; None if a step that passes one is to be left alone.
    rows : sequence of sequence of float, shape (s + 1, degree)
        Coefficients of the interpolant's weights.
    """

    times: tuple[float, ...]
    room: Tensor | None
    rows: Sequence[Sequence[float]]


class Taken(NamedTuple):
    """Steps taken one after the other.

    Attributes
    ----------
    steps : Notes
    states : Tensor, shape (1 + k, n)
        That at the start, then of each step the stage states that are kept and that at its end.
    num_tried : int
    attempts : int
        Those since the last output.
    carry : tuple of float
        The controller's.
    slope : Tensor, shape (n,)
        That at the end.
    was_finite : bool
        Whether the error of the latest step tried was a number.
    is_finite : bool
        Whether the state at the end is.
    is_full : bool
        Whether there was no room for more.
    """

    steps: Notes
    states: Tensor
    num_tried: int
    attempts: int
    carry: Carry
    slope: Tensor
    was_finite: bool
    is_finite: bool
    is_full: bool


class NativeRun:
    """Takes steps as a shortcut does, many in one call.

    Parameters
    ----------
    pointers : Pointers
        Slots: state, span, first slope; end state, end slope, ratio, stage states.
    y : Tensor, shape (n,)
        A state.
    dtypes : tuple of torch.dtype
        Of span and ratio.
    num_kept : int
        How many stage states are kept of each step.
    inner_slopes : list of Tensor, shape (n,)
        Where each step writes its slopes but the first and that at the end.
    """

    def __init__(
        self,
        pointers: Pointers,
        y: Tensor,
        dtypes: tuple[torch.dtype, torch.dtype],
        num_kept: int,
        inner_slopes: list[Tensor],
    ) -> None:
        self._pointers, self._width = pointers, 1 + num_kept
        self._rows = min(MOST_TABLE_BYTES // (self._width * y.nbytes), MOST_ROWS)
        self._settings, self._end_side = array("d", [0.0] * 13), 0
        self._control: ErrorControl | None = None
        self._after: Goals | None = None
        self._at, self._attempts = array("d", [0.0] * 9), array("q", [0, 0, 0])
        self._spans = array("d", [0.0] * (SPAN * self._rows))
        self._outputs = array("q", [0] * (self._rows + 1))
        self._shares = array("q", [1] * self._rows)
        self._thetas = array("d")
        with outside_transforms():  # they serve solves to come
            self._slopes = y.new_empty(2, y.numel()).unbind()
        self._where = array("q", [slope.data_ptr() for slope in self._slopes])
        span, ratio = array("d", [0.0] * 5), array("d", [0.0])
        kinds = array("q", [dtype is torch.float64 for dtype in (*dtypes, y.dtype)])
        inner = array("q", [0, *(slope.data_ptr() for slope in inner_slopes), 0])
        self._held = span, ratio, kinds, inner, inner_slopes
        self._first = addresses(self._settings, self._at, kinds, self._attempts)
        self._second = addresses(span, self._where, ratio)
        self._inner = addresses(inner)

    @staticmethod
    def of(call: Shortcut, num_kept: int, y: Tensor, span_dtype: torch.dtype) -> "NativeRun | None":
        """Return it for a step as `CompiledSteps.lean_step` gives it; None where there is none."""
        tape = call.tape
        if tape is None:
            return None
        make = lambda: NativeRun._made_of(tape, call, num_kept, y, span_dtype)
        return companion(tape, NativeRun, make)

    @staticmethod
    def _made_of(
        tape: Tape, call: Shortcut, num_kept: int, y: Tensor, span_dtype: torch.dtype
    ) -> "NativeRun | str":
        """Return it, or why there is none."""
        inputs, outputs = dict(call.places), [place for place, _ in call.outputs]
        end_state, ratio_place, end_slope, *others = outputs
        kept, inner = others[:num_kept], others[num_kept:]
        if LEAST_ROWS * (1 + num_kept) * y.nbytes > MOST_TABLE_BYTES:
            return "a step is large"
        if not tape.takes_pointers_alone or len(inputs) < NUM_CHANGING or min(outputs) < 0:
            return "more is done than to call kernels"
        seats = seats_like(tape, (end_state, end_slope, *kept), y)
        ratio = tape.seat_of_output(ratio_place)
        inner_slopes = [tape.in_workspace(place) for place in inner]
        is_plain = all(
            x is not None and x.dtype is y.dtype and x.is_contiguous() for x in inner_slopes
        )
        if seats is None or ratio is None or ratio.buffer is None or not is_plain:
            return "an output shares its memory"
        dtypes = (y.dtype, span_dtype, y.dtype)
        pointers = pointers_of(
            tape,
            {inputs[place]: dtype for place, dtype in enumerate(dtypes)},
            [*seats[:2], ratio, *seats[2:]],
        )
        if pointers is None:
            return "there are no loops"
        return NativeRun(pointers, y, (span_dtype, ratio.buffer.dtype), len(kept), inner_slopes)

    def begin(self, control: ErrorControl, end_side: int, goals: Goals) -> None:
        """Get ready for a solve."""
        self._pointers.look_again()
        self._end_side = end_side
        self._room = 0 if goals.room is None else goals.room.data_ptr()
        self._thetas = array("d", bytes(8 * len(goals.times)))  # for one solve: its steps hold it
        after = goals._replace(room=None)
        if control is not self._control or after != self._after:
            self._control, self._after = control, after
            self._read(control, after)

    def _read(self, control: ErrorControl, goals: Goals) -> None:
        """Write settings and goals where the loop reads them."""
        self._most_attempts = min(control.max_attempts, MOST_ATTEMPTS)
        p, i, d = control.pid
        bounds = (control.direction, control.min_step, control.max_step)
        factors = (control.safety, control.ifactor, control.dfactor)
        exponents = (x / control.order for x in (p + i + d, -(p + 2 * d), d))
        is_double = control.round_time is float
        # Tolerances for each element are not read: the first step is then chosen elsewhere.
        tolerances = [0.0 if isinstance(x, Tensor) else x for x in (control.rtol, control.atol)]
        self._settings[:] = array(
            "d", [*bounds, *factors, *exponents, is_double, *tolerances, control.order]
        )
        fixed = control.prescribed | control.jumps
        stops = array("d", control.stops)
        is_fixed = array("d", [stop in fixed for stop in control.stops])
        times = array("d", goals.times)
        counts = [len(times), len(stops), 0]
        self._goals = array("q", [*addresses(times, stops, is_fixed), *counts])
        coefficients = numbers_of(goals.rows)
        shape = array("q", [len(goals.rows), len(goals.rows[0]), self._slopes[0].numel()])
        self._held_goals = times, stops, is_fixed, coefficients, shape
        self._last = (*self._inner, *addresses(coefficients, shape))

    def advance(
        self,
        t: float,
        y: Tensor,
        carry: Carry,
        output: int,
        attempts: int,
        first_side: int,
        slope: Tensor | None,
        *,
        shares_first_slope: bool,
    ) -> Taken:
        """Take steps, and write the outputs that they pass.

        Parameters
        ----------
        t : float
        y : Tensor, shape (n,)
            State there.
        carry : tuple of float
            The controller's.
        output : int
            The first that lies beyond.
        attempts : int
            How many steps were tried since the one before.
        first_side : int
            Of the first step; see `symadj.forward.trajectory.Stretch`.
        slope : Tensor, shape (n,), or None
            ``f`` there, if it is known.
        shares_first_slope : bool
            Whether that is the end slope of the step before.
        """
        width = self._width
        table = y.new_empty(1 + self._rows * width, y.numel())
        start, end = self._slopes
        if slope is not None:
            start.copy_(slope)
        self._where[0], self._where[1] = start.data_ptr(), end.data_ptr()
        self._at[:] = array("d", [t, *carry, first_side, self._end_side, 1.0, 0.0, slope is None])
        self._attempts[:] = array("q", [attempts, self._most_attempts, 0])
        self._goals[5] = output
        count = self._pointers.loops.take_steps(
            *self._pointers.head,
            *self._first,
            y.data_ptr(),
            *self._second,
            table.data_ptr(),
            y.nbytes,
            width - 1,
            self._rows,
            *addresses(self._spans, self._outputs, self._thetas, self._goals),
            self._room,
            *self._last,
        )
        shares = self._shares[:count]
        shares[:1] = array("q", [shares_first_slope] * min(count, 1))
        return Taken(
            steps=Notes(
                self._spans[: SPAN * count], self._outputs[: count + 1], shares, self._thetas
            ),
            states=table[: 1 + count * width],
            num_tried=self._attempts[2],
            attempts=self._attempts[0],
            carry=tuple(self._at[1:4]),
            slope=start if self._where[0] == start.data_ptr() else end,
            was_finite=bool(self._at[6]),
            is_finite=bool(self._at[7]),
            is_full=count == self._rows,
        )
