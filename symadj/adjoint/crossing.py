"""Runs of steps transposed in C++: what `symadj.forward.nativeruns` is to the steps themselves."""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.graphs import Shortcut
from symadj.forward.native import Pointers, addresses, companion, pointers_of, seats_like
from symadj.forward.tape import Tape
from symadj.forward.transforms import outside_transforms

MOST_STATE_BYTES = 2**13
"""A state beyond which Python may as well cross steps one by one."""

MOST_STEPS = 64
"""Steps crossed at once: their states are let go of together."""

ADJOINT_STATE, SPAN, SHARES, STATES = range(4)
"""Arguments of a transposed step, in their order."""


class Crossing:
    """Crosses steps as a shortcut does, many in one call.

    Parameters
    ----------
    pointers : Pointers
        Slots: adjoint state, span, stage states; the adjoint state before.
    adjoint_state : Tensor, shape (n,)
        For its form.
    num_states : int
        Stage states that a step is given.
    """

    def __init__(self, pointers: Pointers, adjoint_state: Tensor, num_states: int) -> None:
        self._pointers, self._num_states = pointers, num_states
        with outside_transforms():  # they serve backward passes to come
            self._both = adjoint_state.new_empty(2, adjoint_state.numel()).unbind()

    @staticmethod
    def of(
        call: Shortcut, adjoint_state: Tensor, span_dtype: torch.dtype, shares: Tensor | None
    ) -> "Crossing | None":
        """Return it for a transposed step, or None where there is none.

        Parameters
        ----------
        call : Shortcut
        adjoint_state : Tensor, shape (n,)
        span_dtype : torch.dtype
        shares : Tensor, shape (s, n), or None
            What outputs inside each step contribute, where there are such outputs.
        """
        tape = call.tape
        if tape is None:
            return None
        make = lambda: Crossing._made_of(tape, call, adjoint_state, span_dtype)
        found = companion(tape, Crossing, make)
        if found is None:
            return None
        if shares is not None:
            tape.put(dict(call.places)[SHARES], shares)
        found._pointers.look_again()
        return found

    @staticmethod
    def _made_of(
        tape: Tape, call: Shortcut, adjoint_state: Tensor, span_dtype: torch.dtype
    ) -> "Crossing | str":
        """Return it, or why there is none."""
        if adjoint_state.nbytes > MOST_STATE_BYTES:
            return "a step is large"
        inputs, outputs = dict(call.places), [place for place, _ in call.outputs]
        inputs.pop(SHARES, None)
        num_states = len(inputs) - (STATES - 1)
        is_whole = set(inputs) == {ADJOINT_STATE, SPAN, *range(STATES, STATES + num_states)}
        if not (tape.takes_pointers_alone and is_whole and num_states and len(outputs) == 1):
            return "more is done than to call kernels"
        seats = seats_like(tape, outputs, adjoint_state)
        if seats is None:
            return "the result shares its memory"
        dtypes = dict.fromkeys(sorted(inputs), adjoint_state.dtype) | {SPAN: span_dtype}
        changing = {inputs[place]: dtype for place, dtype in dtypes.items()}
        pointers = pointers_of(tape, changing, seats)
        if pointers is None:
            return "there are no loops"
        return Crossing(pointers, adjoint_state, num_states)

    def across(
        self, adjoint_state: Tensor, spans: Tensor, states: Sequence[Sequence[Tensor]]
    ) -> Tensor:
        """Carry an adjoint state across steps, from the last to the first.

        Parameters
        ----------
        adjoint_state : Tensor, shape (n,)
        spans : Tensor, shape (steps, 5)
            See `symadj.forward.compiled.CompiledSteps.spans_of`.
        states : sequence of sequence of Tensor, shape (n,)
            Those that each step is given.
        """
        here, there = self._both
        here.copy_(adjoint_state)
        places = array("q", [here.data_ptr(), there.data_ptr()])
        pointers = array("q", [y.data_ptr() for of_step in states for y in of_step])
        self._pointers.loops.cross_steps(
            *self._pointers.head,
            len(states),
            spans.data_ptr(),
            spans.stride(0) * spans.itemsize,
            *addresses(pointers),
            self._num_states,
            *addresses(places),
        )
        return self._both[len(states) % 2].clone()
