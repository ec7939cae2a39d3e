"""The `torch.autograd.Function`s: glue between a solve that was made and its sweep."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symadj.adjoint.activations import Activations
from symadj.adjoint.chained import Chain, chained_sweep
from symadj.adjoint.snapshots import KeptStates, Snapshots
from symadj.adjoint.stored import StoredStates
from symadj.adjoint.sweep import adjoint_sweep
from symadj.adjoint.walk import Walk
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState, Replayer
from symadj.forward.solve import Integration
from symadj.forward.steplog import carries
from symadj.forward.trajectory import Stats, StepGrid
from symadj.forward.transforms import is_batch
from symadj.forward.unrolled import unroll


@dataclass(frozen=True, slots=True)
class Record:
    """A solve without its tensors, which autograd keeps: so it, too, decides when they are freed.

    Attributes
    ----------
    ivp : Integration
    steps : sequence of Step
    per_step : int
        States kept of each step, by autograd.
    has_tables : bool
        Whether it keeps them in tables; see `Snapshots`.
    stored : StoredStates or None
        States kept in a store of their own.
    activations : Activations or None
        Graphs of the evaluations, where they are kept.
    chain : Chain or None
        What compiled steps have kept.
    graphs : int
        How many stages have their graph alive at once, where stages are made again.
    stats : Stats
    num_params : int
        How many tensors get a gradient beside state and time.
    is_complete : bool
        Whether they are to be all that ``f`` reads.
    candidates : tuple of Tensor
        Those among them, before the last, that the solve was not seen to read.
    versions : tuple of int
        How often each candidate had been edited when the solve was made.
    arg_leaves : tuple of Tensor
        The last of them, as ``f`` is given them: cut from their history.
    pinned : bool
        Whether the outputs are the states at the knots.
    carried : CarriedState
    ambient : Ambient
    """

    ivp: Integration
    steps: StepGrid
    per_step: int
    has_tables: bool
    stored: StoredStates | None
    activations: Activations | None
    chain: Chain | None
    graphs: int
    stats: Stats
    num_params: int
    is_complete: bool
    candidates: tuple[Tensor, ...]
    versions: tuple[int, ...]
    arg_leaves: tuple[Tensor, ...]
    pinned: bool
    carried: CarriedState
    ambient: Ambient

    @property
    def num_inputs(self) -> int:
        """How many tensors go into a solve: initial state, times, knots and parameters."""
        return 3 + self.num_params

    @property
    def num_required(self) -> int:
        """How many of the parameters come before the candidates."""
        return self.num_params - len(self.candidates) - len(self.arg_leaves)

    @property
    def num_watched(self) -> int:
        """How many of the parameters autograd keeps, so that it sees when they are edited."""
        return self.num_params - len(self.candidates)

    def watched(self, params: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return all but the candidates: these may never be read, and edited freely."""
        last = self.num_required + len(self.candidates)
        return (*params[: self.num_required], *params[last:])

    def all_of(self, watched: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return all, from those that are watched."""
        return (*watched[: self.num_required], *self.candidates, *watched[self.num_required :])

    def leaves(self, params: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the tensors that ``f`` reads in the place of what got into the call."""
        return (*params[: self.num_params - len(self.arg_leaves)], *self.arg_leaves)

    def check_candidates(self, gradients: Sequence[Tensor | None]) -> None:
        """Raise, as autograd does, if a candidate turns out to have been read and then edited."""
        for tensor, version, gradient in zip(
            self.candidates, self.versions, gradients[self.num_required :], strict=False
        ):
            if gradient is not None and tensor._version != version:
                raise RuntimeError(
                    f"A tensor of shape {tuple(tensor.shape)} that f reads has been modified by an "
                    f"inplace operation since the solve: it is at version {tensor._version}, "
                    f"expected version {version}. Edit it after the backward pass."
                )

    def again(self) -> AbstractContextManager[Replayer | None]:
        """Evaluate ``f`` as in the solve, and leave what it carries as it was found."""
        is_carried = carries(self.steps)
        return self._again(is_carried) if is_carried or self.ambient.differs else nullcontext()

    @contextmanager
    def _again(self, is_carried: bool) -> Iterator[Replayer | None]:
        with ExitStack() as stack:
            stack.enter_context(self.ambient.in_force())
            replayer = None
            if is_carried:
                stack.enter_context(self.carried.left_as_found())
                replayer = self.ivp.field.before = Replayer(self.carried)
            try:
                yield replayer
            finally:
                self.ivp.field.before = None


class SymplecticAdjoint(torch.autograd.Function):
    """Outputs of a solve as a function of initial state, times and parameters.

    The solve itself is made before: its outputs come in by a list, from which they are taken, so
    that nothing that outlives the call refers to them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        record: Record,
        ys: list[Tensor],
        internals: tuple[Tensor | None, ...],
        y0: Tensor,
        times: Tensor | None,
        knots: Tensor | None,
        *params: Tensor,
    ) -> Tensor:
        ctx.record = record
        # Inputs are saved although f reads the parameters where they live: if somebody edits one
        # in place before the backward pass, torch then raises instead of replaying other steps.
        ctx.save_for_backward(y0, times, knots, *record.watched(params), *internals)
        return ys.pop()

    @staticmethod
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor | None, ...]:
        record: Record = ctx.record
        _, _, _, _, wants_times, wants_knots, *_ = ctx.needs_input_grad
        y0, times, knots, *rest = ctx.saved_tensors
        params, internals = record.all_of(rest[: record.num_watched]), rest[record.num_watched :]
        wants, inputs = (wants_times, wants_knots), (y0, times, knots, *params)
        if torch.is_grad_enabled():
            gradients = Derivative.apply(record, internals, wants, 1, cotangents, *inputs)  # type: ignore[no-untyped-call]
        else:
            # What the sweep is done with is freed as it goes, unless the graph is to be kept.
            rest.clear()
            ctx.maybe_clear_saved_tensors()
            gradients = _sweep(record, internals, wants, cotangents, *inputs)
        return (None, None, None, *gradients)


class Derivative(torch.autograd.Function):
    """The backward pass as a function that has derivatives itself, for ``create_graph=True``.

    With ``V_0`` the inputs of a solve and ``G_0`` its outputs, the ``k``-th derivative is
    ``G_k = (∂G_{k-1} / ∂V_{k-1})ᵀ c_k``, linear in its cotangents, and ``V_k = (c_k, V_{k-1})`` is
    what it depends on. The first is the adjoint sweep, as thrifty as ever. Those beyond take the
    steps again with a graph (`unroll`), in the memory of backpropagation.
    """

    @staticmethod
    def forward(
        ctx: Any,
        record: Record,
        internals: Sequence[Tensor | None],
        wants: tuple[bool, bool],
        order: int,
        *variables: Any,
    ) -> tuple[Tensor | None, ...]:
        ctx.record, ctx.wants, ctx.order = record, wants, order
        inputs = len(variables) - record.num_inputs
        watched = (*variables[: inputs + 3], *record.watched(variables[inputs + 3 :]))
        ctx.save_for_backward(*watched)
        ctx.set_materialize_grads(False)
        if order == 1:
            return _sweep(record, internals, wants, *variables)
        return tuple(_nested(record, wants, order, variables))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        record: Record = ctx.record
        saved = ctx.saved_tensors
        first = len(saved) - record.num_watched
        variables = (*cotangents, *saved[:first], *record.all_of(saved[first:]))
        if torch.is_grad_enabled():
            gradients = Derivative.apply(record, (), ctx.wants, ctx.order + 1, *variables)  # type: ignore[no-untyped-call]
        else:
            gradients = _nested(record, ctx.wants, ctx.order + 1, variables)
        return (None, None, None, None, *gradients)


def _nested(
    record: Record, wants: tuple[bool, bool], order: int, variables: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the derivative of an order of 2 or more, by autograd through the unrolled steps.

    Parameters
    ----------
    record : Record
    wants : tuple of bool
        Whether the gradients of the output times, and of the knots, are wanted.
    order : int
    variables : sequence of Tensor or None
        ``c_order, ..., c_1``, then the inputs.
    """
    # Cut from their histories, so that each gradient is that of its own place alone.
    leaves: list[Any] = [_cut(variable) for variable in variables]
    start = len(variables) - record.num_inputs
    given = variables[start:]
    y0, times, knots = leaves[start : start + 3]
    if times is not None and not wants[0]:
        times = times.detach()  # so that outputs at the ends of steps are what they were: states
    params = record.leaves([param for param in given[3:] if param is not None])
    known: list[Tensor | None] = [
        y0,
        times if wants[0] else None,
        knots if wants[1] else None,
        *params,
    ]
    with torch.enable_grad(), hooks_aside(params), record.again() as replayer:
        ys = unroll(
            record.ivp,
            record.steps,
            y0,
            knots if times is None else times,
            knots,
            pinned=record.pinned,
            replayer=replayer,
        )
        values: list[Tensor | None] = [ys]
        for level in range(1, order + 1):
            cotangents = leaves[start - len(values) : start]
            start -= len(values)
            values = _pull_back(values, known, cotangents, create_graph=level < order)
            known = [
                *(c if c is not None and c.requires_grad else None for c in cotangents),
                *known,
            ]
    return values


def _cut(variable: Tensor | None) -> Tensor | None:
    """Return a leaf with the value of a tensor; a batch of cotangents as it is."""
    if variable is None or is_batch(variable):
        return variable
    return variable.detach().requires_grad_()


def _pull_back(
    values: Sequence[Tensor | None],
    sources: Sequence[Tensor | None],
    cotangents: Sequence[Tensor | None],
    *,
    create_graph: bool,
) -> list[Tensor | None]:
    """Return the gradient with respect to each of the sources, None where there is none."""
    pairs = [
        (value, cotangent)
        for value, cotangent in zip(values, cotangents, strict=True)
        if value is not None and value.requires_grad and cotangent is not None
    ]
    places = [place for place, source in enumerate(sources) if source is not None]
    result: list[Tensor | None] = [None] * len(sources)
    if pairs:
        outputs, weights = zip(*pairs, strict=True)
        found = torch.autograd.grad(
            outputs,
            [source for source in sources if source is not None],
            weights,
            create_graph=create_graph,
            allow_unused=True,
        )
        for place, gradient in zip(places, found, strict=True):
            result[place] = gradient
    return result


def hooks_aside(tensors: Sequence[Tensor]) -> AbstractContextManager[None]:
    """Set the caller's tensor hooks aside: they are for the whole gradient, not a stage's share."""
    hooked = [tensor for tensor in tensors if tensor._backward_hooks and tensor.is_leaf]
    return _hooks_aside(hooked) if hooked else nullcontext()


@contextmanager
def _hooks_aside(hooked: Sequence[Tensor]) -> Iterator[None]:
    hooks = [tensor._backward_hooks for tensor in hooked]
    try:
        for tensor in hooked:
            tensor._backward_hooks = None
        yield
    finally:
        for tensor, own in zip(hooked, hooks, strict=True):
            tensor._backward_hooks = own


def _sweep(
    record: Record,
    internals: Sequence[Tensor | None],
    wants: tuple[bool, bool],
    cotangents: Tensor,
    y0: Tensor,
    times: Tensor | None,
    knots: Tensor,
    *params: Tensor,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of initial state, times, knots and parameters."""
    output_slopes, y_end, *tensors = internals
    if isinstance(internals, list):
        internals.clear()
    wants_times, wants_knots = wants
    leaves = record.leaves(params)
    with record.again() as replayer, hooks_aside(leaves):
        walk = Walk(record.ivp, record.steps, y0, replayer)
        with _kept_states(record, tensors, walk, y0) as kept:
            keeps = torch._C._autograd._get_current_graph_task_keep_graph()
            common = (leaves, record.stats)
            if record.chain is not None and not is_batch(cotangents):
                gradients = chained_sweep(
                    record.ivp,
                    record.steps,
                    record.chain,
                    kept,
                    y0,
                    y_end,
                    cotangents.contiguous(),
                    *common,
                    keeps=keeps,
                    num_required=record.num_required,
                    is_complete=record.is_complete,
                )
            else:
                gradients = adjoint_sweep(
                    record.ivp,
                    record.steps,
                    kept,
                    y0,
                    y_end,
                    cotangents.contiguous(),
                    *common,
                    activations=record.activations,
                    keeps_activations=keeps,
                    graphs=record.graphs,
                    num_required=record.num_required,
                    is_complete=record.is_complete,
                    knots=knots if wants_knots else None,
                    output_slopes=output_slopes,
                    replayer=replayer,
                )
    record.check_candidates(gradients.params)
    record.stats.num_replayed_steps = walk.num_steps
    if record.stored is not None:
        record.stats.num_snapshots = record.stored.most
    return (
        gradients.y0,
        gradients.times if wants_times else None,
        gradients.knots if wants_knots else None,
        *gradients.params,
    )


def _kept_states(
    record: Record, tensors: list[Tensor | None], walk: Walk, y0: Tensor
) -> AbstractContextManager[KeptStates]:
    """Return the states that were kept, as long as they are asked for."""
    if record.stored is not None:
        return closing(record.stored.rewind(walk, y0.detach()))
    states = [state for state in tensors if state is not None]
    tensors.clear()
    return nullcontext(Snapshots(record.per_step, states, record.has_tables))
