"""All steps transposed in C++: what `symadj.forward.nativeruns` is to the steps themselves."""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.graphs import Shortcut
from symadj.forward.native import (
    Pointers,
    addresses,
    companion,
    numbers_of,
    pointers_of,
    seats_like,
)
from symadj.forward.steplog import Notes
from symadj.forward.tape import Tape
from symadj.forward.transforms import outside_transforms

MOST_STATE_BYTES = 2**13
"""A state beyond which Python may as well cross steps one by one."""

MOST_STEPS = 64
"""Steps crossed at once: their states are let go of together."""

ADJOINT_STATE, SPAN, SHARES, STATES = range(4)
"""Arguments of a transposed step, in their order."""


class Crossing:
    """Crosses steps as a shortcut does, many in one call, outputs and all.

    Parameters
    ----------
    pointers : Pointers
        Slots: adjoint state, span, stage states; the adjoint state before; shares, if there are.
    adjoint_state : Tensor, shape (n,)
        For its form.
    span_dtype : torch.dtype
    num_states : int
        Stage states that a step is given.
    num_stages : int
    has_shares : bool
    """

    def __init__(
        self,
        pointers: Pointers,
        adjoint_state: Tensor,
        span_dtype: torch.dtype,
        num_states: int,
        num_stages: int,
        *,
        has_shares: bool,
    ) -> None:
        self._pointers, self._num_states = pointers, num_states
        with outside_transforms():  # they serve backward passes to come
            self._both = adjoint_state.new_empty(2, adjoint_state.numel()).unbind()
            self._shares = adjoint_state.new_empty(
                num_stages if has_shares else 0, adjoint_state.numel()
            )
        self._span, self._where = array("d", [0.0] * 5), array("q", [0, 0])
        is_double = (span_dtype is torch.float64, adjoint_state.dtype is torch.float64)
        self._forms = (adjoint_state.numel(), *map(int, is_double))

    @staticmethod
    def of(
        call: Shortcut, adjoint_state: Tensor, span_dtype: torch.dtype, num_stages: int
    ) -> "Crossing | None":
        """Return it for a transposed step, or None where there is none.

        Parameters
        ----------
        call : Shortcut
        adjoint_state : Tensor, shape (n,)
        span_dtype : torch.dtype
        num_stages : int
        """
        tape = call.tape
        if tape is None:
            return None
        make = lambda: Crossing._made_of(tape, call, adjoint_state, span_dtype, num_stages)
        found = companion(tape, Crossing, make)
        if found is not None:
            found._pointers.look_again()
        return found

    @staticmethod
    def _made_of(
        tape: Tape, call: Shortcut, adjoint_state: Tensor, span_dtype: torch.dtype, num_stages: int
    ) -> "Crossing | str":
        """Return it, or why there is none."""
        inputs, outputs = dict(call.places), [place for place, _ in call.outputs if place >= 0]
        has_shares = SHARES in inputs
        num_states = len(inputs) - has_shares - (STATES - 1)
        states = range(STATES, STATES + num_states)
        is_whole = set(inputs) - {SHARES} == {ADJOINT_STATE, SPAN, *states}
        if not (tape.takes_pointers_alone and is_whole and num_states and len(outputs) == 1):
            return "more is done than to call kernels"
        seats = seats_like(tape, outputs, adjoint_state)
        if seats is None:
            return "the result shares its memory"
        dtype = adjoint_state.dtype
        changing = {inputs[ADJOINT_STATE]: dtype, inputs[SPAN]: span_dtype}
        changing |= {inputs[place]: dtype for place in states}
        last = {inputs[SHARES]: dtype} if has_shares else {}
        pointers = pointers_of(tape, changing, seats, last)
        if pointers is None:
            return "there are no loops"
        return Crossing(
            pointers, adjoint_state, span_dtype, num_states, num_stages, has_shares=has_shares
        )

    def begin(self, steps: Notes, cotangents: Tensor, rows: Sequence[Sequence[float]]) -> None:
        """Get ready for a backward pass.

        Parameters
        ----------
        steps : Notes
        cotangents : Tensor, shape (T, n)
            Of the outputs.
        rows : sequence of sequence of float, shape (s + 1, degree)
            Coefficients of the interpolant's weights.
        """
        coefficients = numbers_of(rows)
        self._held = steps, coefficients
        has_shares = len(self._shares) > 0
        self._pass = array(
            "q",
            [
                *addresses(steps.spans, steps.thetas, coefficients),
                *addresses(steps.outputs, steps.shares_first_slope),
                cotangents.data_ptr(),
                *addresses(self._span),
                self._shares.data_ptr() if has_shares else 0,
                *addresses(self._where),
                len(steps),
                self._num_states,
                len(rows),
                len(rows[0]),
                *self._forms,
                any(rows[-1]),
            ],
        )
        here, there = self._both
        here.zero_()
        self._where[:] = array("q", [here.data_ptr(), there.data_ptr()])

    def across(self, last: int, states: "array[int]", y_next: int) -> tuple[int, int]:
        """Carry the adjoint state across steps, from the last to the first.

        Parameters
        ----------
        last : int
            The last of them.
        states : array of int
            Addresses of those that the first is given, then of those of the second, and so on.
        y_next : int
            Address of the state at the end of the last.

        Returns
        -------
        tuple of int
            How many steps these were, and how many end slopes were pulled back beside their stages.
        """
        count = len(states) // self._num_states
        num_ends: int = self._pointers.loops.cross_steps(
            *self._pointers.head,
            *addresses(self._pass),
            last + 1 - count,
            last,
            *addresses(states),
            y_next,
        )
        return count, num_ends

    def adjoint_state(self) -> Tensor:
        """Return the adjoint state where it has been carried to, shape (n,)."""
        here, there = self._both
        return (here if self._where[0] == here.data_ptr() else there).clone()
