"""What a solve and its backward pass take in memory: sums of what is alive at once."""

from dataclasses import dataclass

from torch import Tensor

from symadj.adjoint.footprint import Differentiated, Footprint, footprint_of
from symadj.errors import InvalidInputError, UnsupportedError
from symadj.forward.ambient import Ambient
from symadj.forward.slopes import PIECE
from symadj.forward.summation import ALIGNMENT, summation_order
from symadj.reading import Reading

CALL_BYTES = 48_000
"""Objects of Python and torch that a solve and its backward pass need, whatever their size."""

STEP_BYTES = 700
"""Objects of each accepted step: its record, the floats in it, its place in lists."""

STATE_BYTES = 900
"""Objects of each state that is kept on its device: a tensor, its storage, its place in a store."""

AWAY_BYTES = 260
"""Objects of each state that is kept elsewhere: its place in a store."""


def slopes_bytes(num_slopes: int, like: Tensor) -> tuple[int, int]:
    """Return the bytes of a state made of slopes, and of what holds them and adds them up.

    Parameters
    ----------
    num_slopes : int
        s + 1, the end slope among them.
    like : Tensor, shape (n,)
        A state.
    """
    if summation_order(num_slopes, like.dtype, like.device) is None:  # as columns, products beside
        return like.nbytes, (2 * num_slopes + 1) * like.nbytes
    padded = -(-like.numel() // ALIGNMENT) * ALIGNMENT
    products = min(padded, PIECE)
    return padded * like.itemsize, (num_slopes * (padded + products) + padded) * like.itemsize


@dataclass(frozen=True, slots=True)
class Costs:
    """What the parts of one solve and its backward pass take in memory.

    Attributes
    ----------
    footprint : Footprint
        Of one use of ``f``.
    state_bytes : int
        One state as the solve holds it.
    kept_bytes : int
        One state as it is kept, its objects included.
    num_stages : int
        Stages of a step, s.
    num_outputs : int
        T, that at the initial time among them.
    slopes_bytes : int
        What holds the slopes of a step, and makes sums of them.
    dense_bytes : int
        The interpolant of a step, if all of them are wanted; otherwise 0.
    is_interpolated : bool
        Whether outputs may lie inside of steps.
    has_output_slopes : bool
        Whether the slopes at the outputs are kept.
    is_nested : bool
        Whether the state is made of several tensors.
    wants_gradient : bool
        Whether there will be a backward pass.
    """

    footprint: Footprint
    state_bytes: int
    kept_bytes: int
    num_stages: int
    num_outputs: int
    slopes_bytes: int
    dense_bytes: int
    is_interpolated: bool
    has_output_slopes: bool
    is_nested: bool
    wants_gradient: bool

    @property
    def _outputs(self) -> int:
        """The outputs, a packed initial state and the state at the end: alive all the time."""
        stacks = 1 + self.has_output_slopes
        return (
            stacks * self.num_outputs * self.state_bytes + (self.is_nested + 1) * self.state_bytes
        )

    def forward(self, *, want_stages: bool) -> int:
        """Return the most that is alive going forward, beside records and what is kept."""
        n = self.state_bytes
        inside = 0
        if self.is_interpolated:  # a polynomial, and all outputs inside one step at the worst
            inside = (9 + 3 * (self.num_outputs - 1)) * n
        # An evaluation, or the norm of the error in units of the tolerance.
        most = max(self.footprint.evaluation_bytes + 3 * n, 7 * n, inside, 2 * self.dense_bytes)
        stages = (self.num_stages - 1) * n if want_stages else 0
        return CALL_BYTES + self._outputs + n + self.slopes_bytes + stages + most

    def backward(self, graphs: int = 1, *, is_replayed: bool = True) -> int:
        """Return the most that is alive going backward, beside records and what is kept."""
        n, use = self.state_bytes, self.footprint
        cotangents = self.num_outputs * n
        # Adding up the cotangents of several tensors, or of several uses of the outputs.
        collecting = (2 + self.is_nested) * cotangents
        # y, that of the step after, the adjoint state, a cotangent, what was pulled back before.
        sweep = (self.num_stages + 5 + self.is_interpolated) * n
        replay = self.slopes_bytes + use.evaluation_bytes + n if is_replayed else 0
        transpose = use.vjp_bytes + n
        if graphs > 1:
            replay += graphs * (use.graph_bytes + n) + use.vjp_bytes - use.graph_bytes
            transpose += (graphs - 1) * (use.graph_bytes + n)
        going = cotangents + use.param_bytes + sweep + max(replay, transpose)
        return CALL_BYTES + self._outputs + max(collecting, going)

    def records(self, num_steps: int) -> int:
        """Return what the records of steps take, beside what ``f`` carries."""
        return num_steps * (STEP_BYTES + self.dense_bytes)

    def base(self, graphs: int = 1, *, is_replayed: bool = True, want_stages: bool = False) -> int:
        """Return the most that is alive going either way, beside records and what is kept."""
        forward = self.forward(want_stages=want_stages)
        if not self.wants_gradient:
            return forward
        return max(forward, self.backward(graphs, is_replayed=is_replayed))


def costs_of(
    reading: Reading, y0: Tensor, sources: Differentiated | None, *, is_dense: bool
) -> Costs:
    """Measure what the parts of a solve take in memory.

    Parameters
    ----------
    reading : Reading
    y0 : Tensor, shape (n,)
        Initial state.
    sources : Differentiated or None
        What gets a gradient; None where none is wanted.
    is_dense : bool
        Whether the interpolant of every step is wanted.

    Raises
    ------
    UnsupportedError
        If the method is implicit.
    InvalidInputError
        If the caller has chosen a part of the plan.
    """
    ivp, tableau, options = reading.ivp, reading.ivp.tableau, reading.options
    if not tableau.is_explicit:
        raise UnsupportedError(
            f"memory_budget was given with the implicit method {tableau.name!r}, whose memory for "
            f"solving the equations of its stages is not foreseen. Take an explicit method, or say "
            f"by checkpoints what is kept."
        )
    if options["graphs"] != 1:
        raise InvalidInputError(
            f"options['graphs'] = {options['graphs']!r} and a memory_budget were given: how many "
            f"graphs are alive at once is then chosen. Leave one of them out."
        )
    footprint = footprint_of(ivp.field, ivp.times[0], y0, sources, Ambient.now(y0.device))
    state, slopes = slopes_bytes(tableau.num_evaluations + 1, y0)
    kept, dense = options["snapshot_dtype"], tableau.dense_output
    wants_time = sources is not None and sources.wants_time
    return Costs(
        footprint=footprint,
        state_bytes=state,
        kept_bytes=state if kept is None else y0.numel() * kept.itemsize,
        num_stages=tableau.num_evaluations,
        num_outputs=2 if ivp.event else len(ivp.times),
        slopes_bytes=slopes,
        dense_bytes=(len(dense[0]) if dense else 3) * (state + STATE_BYTES) if is_dense else 0,
        is_interpolated=not reading.pinned,
        has_output_slopes=(wants_time and not reading.pinned) or ivp.event is not None,
        is_nested=ivp.field.packing.is_nested,
        wants_gradient=sources is not None,
    )
