"""Runs of steps under error control in C++: `symadj.forward.runs`, where a step is small.

The loop there is that of `symadj.forward.controller`, written once more.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from symadj.forward.controller import Carry, ErrorControl
from symadj.forward.graphs import Shortcut
from symadj.forward.native import Pointers, addresses, companion, pointers_of, seats_like
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


class Taken(NamedTuple):
    """Steps taken one after the other.

    Attributes
    ----------
    times : list of float
        Start, end and size of the first, then of the second, and so on.
    states : sequence of Tensor, shape (n,)
        Of each step that at its end, and the stage states that are kept.
    num_tried : int
    carry : tuple of float
        The controller's.
    slope : Tensor, shape (n,)
        That at the end.
    was_finite : bool
        Whether the error of the latest step tried was a number.
    is_full : bool
        Whether there was no room for more.
    """

    times: list[float]
    states: Sequence[Tensor]
    num_tried: int
    carry: Carry
    slope: Tensor
    was_finite: bool
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
    """

    def __init__(
        self,
        pointers: Pointers,
        y: Tensor,
        dtypes: tuple[torch.dtype, torch.dtype],
        num_kept: int,
    ) -> None:
        self._pointers, self._width = pointers, 1 + num_kept
        self._rows = min(MOST_TABLE_BYTES // (self._width * y.nbytes), MOST_ROWS)
        self._settings, self._end_side = array("d", [0.0] * 10), 0
        self._at, self._attempts = array("d", [0.0] * 8), array("q", [0, 0])
        self._times = array("d", [0.0] * (3 * self._rows))
        with outside_transforms():  # they serve solves to come
            self._slopes = y.new_empty(2, y.numel()).unbind()
        self._where = array("q", [slope.data_ptr() for slope in self._slopes])
        span, ratio = array("d", [0.0] * 5), array("d", [0.0])
        kinds = array("q", [dtype is torch.float64 for dtype in dtypes])
        self._held = span, ratio, kinds
        self._first = addresses(self._settings, self._at, kinds, self._attempts)
        self._second = addresses(span, self._where, ratio)

    @staticmethod
    def of(
        call: Shortcut, control: object, y: Tensor, span_dtype: torch.dtype, end_side: int
    ) -> "NativeRun | None":
        """Return it for a step as `CompiledSteps.lean_step` gives it; None where there is none."""
        tape = call.tape
        if tape is None or not isinstance(control, ErrorControl):
            return None
        make = lambda: NativeRun._made_of(tape, call, y, span_dtype)
        found = companion(tape, NativeRun, make)
        if found is not None:
            found._begin(control, end_side)
        return found

    @staticmethod
    def _made_of(
        tape: Tape, call: Shortcut, y: Tensor, span_dtype: torch.dtype
    ) -> "NativeRun | str":
        """Return it, or why there is none."""
        inputs, outputs = dict(call.places), [place for place, _ in call.outputs]
        end_state, ratio_place, *kept, end_slope = outputs
        if LEAST_ROWS * (1 + len(kept)) * y.nbytes > MOST_TABLE_BYTES:
            return "a step is large"
        if not tape.takes_pointers_alone or len(inputs) < NUM_CHANGING or min(outputs) < 0:
            return "more is done than to call kernels"
        seats = seats_like(tape, (end_state, end_slope, *kept), y)
        ratio = tape.seat_of_output(ratio_place)
        if seats is None or ratio is None or ratio.buffer is None:
            return "an output shares its memory"
        dtypes = (y.dtype, span_dtype, y.dtype)
        pointers = pointers_of(
            tape,
            {inputs[place]: dtype for place, dtype in enumerate(dtypes)},
            [*seats[:2], ratio, *seats[2:]],
        )
        if pointers is None:
            return "there are no loops"
        return NativeRun(pointers, y, (span_dtype, ratio.buffer.dtype), len(kept))

    def _begin(self, control: ErrorControl, end_side: int) -> None:
        """Get ready for a solve."""
        self._pointers.look_again()
        self._control, self._end_side = control, end_side
        p, i, d = control.pid
        bounds = (control.direction, control.min_step, control.max_step)
        factors = (control.safety, control.ifactor, control.dfactor)
        exponents = (x / control.order for x in (p + i + d, -(p + 2 * d), d))
        is_double = control.round_time is float
        self._settings[:] = array("d", [*bounds, *factors, *exponents, is_double])

    def advance(
        self,
        t: float,
        y: Tensor,
        carry: Carry,
        until: float,
        first_side: int,
        slope: Tensor,
        most: int,
    ) -> Taken:
        """Take steps that end before a time.

        Parameters
        ----------
        t : float
        y, slope : Tensor, shape (n,)
            State there, and ``f``.
        carry : tuple of float
            The controller's.
        until : float
        first_side : int
            Of the first step; see `symadj.forward.trajectory.Stretch`.
        most : int
            How many may be tried.
        """
        control, width = self._control, self._width
        stop = control.stop_after(t)
        if stop is not None and (until - stop) * control.direction > 0:
            until = stop
        table = y.new_empty(self._rows * width, y.numel())
        start, end = self._slopes
        start.copy_(slope)
        self._where[0], self._where[1] = start.data_ptr(), end.data_ptr()
        self._at[:] = array("d", [t, *carry, until, first_side, self._end_side, 1.0])
        self._attempts[0], self._attempts[1] = 0, min(most, MOST_ATTEMPTS)
        count = self._pointers.loops.take_steps(
            *self._pointers.head,
            *self._first,
            y.data_ptr(),
            *self._second,
            table.data_ptr(),
            y.nbytes,
            width - 1,
            self._rows,
            *addresses(self._times),
        )
        return Taken(
            times=self._times[: 3 * count].tolist(),
            states=table[: count * width].unbind(),
            num_tried=self._attempts[0],
            carry=tuple(self._at[1:4]),
            slope=start if self._where[0] == start.data_ptr() else end,
            was_finite=bool(self._at[7]),
            is_full=count == self._rows,
        )
