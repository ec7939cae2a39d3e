"""What a solve and its backward pass take in memory: sums of what is alive at once."""

from dataclasses import dataclass

from torch import Tensor

from symadj.adjoint.footprint import Differentiated, Footprint, footprint_of
from symadj.adjoint.replay import SMALL_STATE_BYTES
from symadj.errors import InvalidInputError, UnsupportedError
from symadj.forward.ambient import Ambient
from symadj.forward.summation import summation_order
from symadj.reading import Reading

CALL_BYTES = 68_000
"""Objects of Python and torch that a solve and its backward pass need, whatever their size.

These figures were measured by memray, with the allocators of Python traced. They lie in the host's
memory: of a solve elsewhere only tensors count.
"""

STAGE_BYTES = 7_000
"""Objects for each stage of the method: weights and views of them."""

STEP_BYTES = 320
"""Objects of each accepted step: its record, the floats in it, its place in lists."""

STATE_BYTES = 560
"""Objects of each state that is kept on its device: a tensor, its storage, its place in a store."""

KEPT_BYTES = 1_000
"""Objects of each evaluation whose graph is kept, beside its nodes: its leaf, time and records."""

CHOICE_BYTES = 170
"""Objects of each state that may have to give way: its place among those to choose from."""

AWAY_BYTES = 200
"""Objects of each state that is kept elsewhere: its place in a store."""

MAX_FREE_TUPLES = 2000
"""Tuples of one length that Python keeps for later. Each vector-Jacobian product leaves some."""

INNER_BYTES = 150
"""What a gradient within ``f`` leaves of them."""

BLOCK_BYTES = 512
"""To a multiple of this CUDA's allocator rounds up."""


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
    return like.nbytes, (num_slopes + 2) * like.nbytes  # a sum, and that of a group of its terms


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
    has_ends : bool
        Whether outputs inside a step hang on an evaluation at its end, which is not the first of
        the step after.
    is_on_host : bool
        Whether states lie in the memory in which the objects of Python do.
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
    has_ends: bool
    is_on_host: bool

    @property
    def object_bytes(self) -> int:
        """Objects of each state that is kept on its device."""
        return STATE_BYTES if self.is_on_host else BLOCK_BYTES

    @property
    def away_bytes(self) -> int:
        """What remains of a state that is kept elsewhere."""
        return AWAY_BYTES if self.is_on_host else 0

    @property
    def choice_bytes(self) -> int:
        """Objects of each state that may have to give way."""
        return CHOICE_BYTES if self.is_on_host else 0

    @property
    def _call_bytes(self) -> int:
        return CALL_BYTES + STAGE_BYTES * self.num_stages if self.is_on_host else 0

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
        return self._call_bytes + self._outputs + n + self.slopes_bytes + stages + most

    def backward(self, graphs: int = 1, *, is_replayed: bool = True) -> int:
        """Return the most that is alive going backward, beside records and what is kept."""
        n, use = self.state_bytes, self.footprint
        cotangents = self.num_outputs * n
        # Adding up the cotangents of several tensors, or of several uses of the outputs.
        collecting = (2 + self.is_nested) * cotangents
        # y, that of the step after, the adjoint state, a cotangent, what was pulled back before.
        sweep = (self.num_stages + 5 + self.is_interpolated) * n
        replay = use.evaluation_bytes + 2 * n if is_replayed else 0
        transpose = use.vjp_bytes + 2 * n
        if is_replayed and n <= SMALL_STATE_BYTES:
            sweep += 2 * self.num_stages * n  # kept, and their cotangents beside the slopes
        if graphs > 1:
            replay += graphs * (use.graph_bytes + n) + use.vjp_bytes - use.graph_bytes
            transpose += (graphs - 1) * (use.graph_bytes + n)
        going = cotangents + use.param_bytes + sweep + max(replay, transpose)
        return self._call_bytes + self._outputs + max(collecting, going)

    def graphs_bytes(self, num_steps: int, num_accepted: int) -> int:
        """Return what the graphs of the evaluations of so many steps take.

        Parameters
        ----------
        num_steps : int
            Steps of which all stages are there.
        num_accepted : int
            Those among them that may have an evaluation at their end, too.
        """
        ends = 1
        if self.has_ends:
            ends += num_accepted if self.dense_bytes else min(num_accepted, self.num_outputs - 1)
        count = num_steps * self.num_stages + ends
        return count * (self.footprint.kept_bytes + (KEPT_BYTES if self.is_on_host else 0))

    def records(self, num_steps: int) -> int:
        """Return what the records of steps take, beside what ``f`` carries."""
        return num_steps * (self.dense_bytes + (STEP_BYTES if self.is_on_host else 0))

    def left_by_vjps(self, num_steps: int) -> int:
        """Return what the vector-Jacobian products of so many steps leave for later ones.

        ``torch.autograd.grad`` makes tuples of a length that it finds out as it goes. Python makes
        them longer, cuts them, and keeps what was freed until its collector runs.
        """
        if not (self.is_on_host and self.wants_gradient):
            return 0
        each = 110 + 8 * min(self.footprint.num_inputs, 20)
        return each * min(num_steps * self.num_stages, MAX_FREE_TUPLES)

    def left_by_evaluations(self, num_steps: int) -> int:
        """Return what the evaluations of so many steps leave, where ``f`` differentiates itself."""
        if not self.is_on_host:
            return 0
        calls = num_steps * self.num_stages * self.footprint.num_inner
        return INNER_BYTES * min(calls, MAX_FREE_TUPLES)

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
        has_ends=ivp.interpolant.uses_end_slope and not ivp.step_sizes.is_adaptive,
        is_on_host=y0.device.type == "cpu",
    )
