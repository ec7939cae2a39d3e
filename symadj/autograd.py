"""The `torch.autograd.Function`s: glue between a solve that was made and its sweep."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symadj.adjoint.snapshots import KeptStates, Snapshots
from symadj.adjoint.stored import StoredStates
from symadj.adjoint.sweep import adjoint_sweep
from symadj.adjoint.walk import Walk
from symadj.errors import UnsupportedError
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState, Replayer
from symadj.forward.solve import Integration
from symadj.forward.trajectory import Stats, StepGrid
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
    stored : StoredStates or None
        States kept in a store of their own.
    graphs : int
        How many stages have their graph alive at once, where stages are made again.
    stats : Stats
    num_params : int
        How many tensors get a gradient beside state and time.
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
    stored: StoredStates | None
    graphs: int
    stats: Stats
    num_params: int
    candidates: tuple[Tensor, ...]
    versions: tuple[int, ...]
    arg_leaves: tuple[Tensor, ...]
    pinned: bool
    carried: CarriedState
    ambient: Ambient

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

    @contextmanager
    def again(self) -> Iterator[Replayer | None]:
        """Evaluate ``f`` as in the solve, and leave what it carries as it was found."""
        with ExitStack() as stack:
            stack.enter_context(self.ambient.in_force())
            replayer = None
            if self.steps and self.steps[0].carried:
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
        arguments = (record, internals, (wants_times, wants_knots), cotangents, y0, times, knots)
        if torch.is_grad_enabled():
            gradients = Sweep.apply(*arguments, *params)  # type: ignore[no-untyped-call]
        else:
            gradients = _sweep(*arguments, *params)
        return (None, None, None, *gradients)


class Sweep(torch.autograd.Function):
    """The adjoint sweep as a function that has a derivative itself, for ``create_graph=True``.

    Its own backward pass takes the steps again with a graph (`unroll`), in the memory of
    backpropagation: the first derivatives remain as thrifty as ever.
    """

    @staticmethod
    def forward(
        ctx: Any,
        record: Record,
        internals: Sequence[Tensor | None],
        wants: tuple[bool, bool],
        cotangents: Tensor,
        y0: Tensor,
        times: Tensor | None,
        knots: Tensor,
        *params: Tensor,
    ) -> tuple[Tensor | None, ...]:
        ctx.record, ctx.wants = record, wants
        ctx.save_for_backward(cotangents, y0, times, knots, *record.watched(params))
        ctx.set_materialize_grads(False)
        return _sweep(record, internals, wants, cotangents, y0, times, knots, *params)

    @staticmethod
    def backward(ctx: Any, *second: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UnsupportedError(
                "A third derivative was asked for (create_graph=True in a second derivative). "
                "symadj has first and second ones in reverse mode; for more of them nest "
                "torch.func transforms around the solve (torch.func.grad, jacfwd, jvp)."
            )
        record: Record = ctx.record
        cotangents, y0, times, knots, *watched = ctx.saved_tensors
        # Cut from their histories, so that each gradient is that of its own place alone.
        y0 = y0.detach().requires_grad_()
        knots = knots.detach().requires_grad_(ctx.wants[1])
        times = knots if times is None else times.detach().requires_grad_(ctx.wants[0])
        places = [y0, times, knots, *record.leaves(record.all_of(watched))]
        wanted = [True, ctx.wants[0], ctx.wants[1], *[True] * record.num_params]
        inputs = [(i, tensor) for i, tensor in enumerate(places) if wanted[i]]
        cotangents = cotangents.detach().requires_grad_()
        with torch.enable_grad(), record.again() as replayer:
            ys = unroll(
                record.ivp,
                record.steps,
                y0,
                times,
                knots,
                pinned=record.pinned,
                replayer=replayer,
            )
            first = torch.autograd.grad(
                ys,
                [tensor for _, tensor in inputs],
                cotangents,
                create_graph=True,
                allow_unused=True,
            )
        pairs = [
            (gradient, second[place])
            for (place, _), gradient in zip(inputs, first, strict=True)
            if gradient is not None and gradient.requires_grad and second[place] is not None
        ]
        found: Sequence[Tensor | None] = [None] * (1 + len(inputs))
        if pairs:
            outputs, weights = zip(*pairs, strict=True)
            sources = [cotangents, *(tensor for _, tensor in inputs)]
            found = torch.autograd.grad(outputs, sources, weights, allow_unused=True)
        placed = {place: value for (place, _), value in zip(inputs, found[1:], strict=True)}
        return (None, None, None, found[0], *(placed.get(i) for i in range(len(places))))


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
    wants_times, wants_knots = wants
    with ExitStack() as stack:
        replayer = stack.enter_context(record.again())
        kept: KeptStates = Snapshots(record.per_step, [y for y in tensors if y is not None])
        walk = Walk(record.ivp, record.steps, y0, replayer)
        if record.stored is not None:
            kept = stack.enter_context(closing(record.stored.rewind(walk, y0.detach())))
        gradients = adjoint_sweep(
            record.ivp,
            record.steps,
            kept,
            y0,
            y_end,
            cotangents.contiguous(),
            record.leaves(params),
            record.stats,
            graphs=record.graphs,
            num_required=record.num_required,
            knots=knots if wants_times or wants_knots else None,
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
