"""The backward pass over compiled steps that have kept what their transposes need: a chain of them.

A step's graph is a function of state and first slope, and returns state and end slope, which are
those of the step after. So are their cotangents, the other way round.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from symadj.adjoint.pullback import Pullback
from symadj.adjoint.snapshots import KeptStates
from symadj.adjoint.step import OutputCotangents, output_cotangents
from symadj.adjoint.sweep import Gradients
from symadj.captured import KnownTensors
from symadj.forward.differentiable import Kept, Way
from symadj.forward.solve import Integration
from symadj.forward.trajectory import Stats, StepGrid


class Chain:
    """What the steps of a solve have kept."""

    def __init__(self) -> None:
        self._steps: list[Kept] = []

    def keep(self, kept: Kept) -> None:
        """Keep what the next step has left."""
        self._steps.append(kept)

    def handed_over(self) -> "Chain":
        """Return the same, for one attached output: its backward pass empties it."""
        other = Chain()
        other._steps = list(self._steps)
        return other

    def of_step(self, index: int, *, keeps: bool) -> Kept:
        """Return what a step has left, and let go of it and of those after it, unless it keeps."""
        kept = self._steps[index]
        if keeps:
            return kept._replace(tensors=list(kept.tensors))
        del self._steps[index:]
        return kept


def chained_sweep(
    ivp: Integration,
    steps: StepGrid,
    chain: Chain,
    states: KeptStates,
    y0: Tensor,
    y_end: Tensor | None,
    cotangents: Tensor,
    params: Sequence[Tensor],
    stats: Stats,
    *,
    keeps: bool,
    num_required: int,
    is_complete: bool,
) -> Gradients:
    """Pull the cotangents of the outputs back, as `adjoint_sweep` does; not to any times.

    Parameters
    ----------
    chain : Chain
        Let go of as the steps are done with.
    states : KeptStates
        The state at the start of each step.
    keeps : bool
        Whether the chain is to be left as it is.
    ivp, steps, y0, y_end, cotangents, params, stats, num_required, is_complete
        As for `adjoint_sweep`.
    """
    nfe_before = ivp.field.nfe
    clock = ivp.clock(y0)
    pullback = Pullback(
        ivp.field, params, want_time=False, num_required=num_required, is_complete=is_complete
    )
    places: list[int | None] | None = None
    adjoint_state = torch.zeros_like(cotangents[0])
    zeros = torch.zeros_like(adjoint_state)
    handed_on: Tensor | None = None
    y_next = y_end
    for index in reversed(range(len(steps))):
        step = steps[index]
        way, tensors = chain.of_step(index, keeps=keeps)
        (y,) = states.of_step(index)
        if places is None:
            way.check()
            places = _places(way, params, is_complete=is_complete)
        ivp.observer.tell("step_adjoint", step.stretch.t0, y, step.stretch.h)
        inside = output_cotangents(ivp, step, cotangents)
        makes_first = way.places[2] < 0
        if step.has_end_output:
            adjoint_state = adjoint_state + cotangents[step.outputs.stop - 1]
        uses_end = inside is not None and ivp.interpolant.uses_end_slope
        if makes_first and inside is not None and uses_end and y_next is not None:
            state = _pulled(pullback, clock(step.stretch)[-1], y_next, inside.of_slope(-1))
            adjoint_state = adjoint_state if state is None else adjoint_state + state
        shares = _shares(way, inside, handed_on, zeros, makes_first=makes_first, uses_end=uses_end)
        of_state, of_first, gradients = way.transpose(tensors, (adjoint_state, None, *shares))
        pullback.num_calls += len(shares)
        found: list[Tensor | None] = [None] * len(params)
        for place, gradient in zip(places, gradients, strict=True):
            if place is not None:
                found[place] = gradient
        pullback.accumulate(found)
        del gradients, found, tensors
        adjoint_state = zeros if of_state is None else of_state
        if inside is not None:
            adjoint_state = adjoint_state + inside.cotangents.sum(0)
        handed_on = of_first
        if of_first is not None and inside is not None:
            handed_on = of_first + inside.of_slope(0)
        if handed_on is not None and not step.shares_first_slope:
            state = _pulled(pullback, clock(step.stretch)[0], y, handed_on)
            adjoint_state = adjoint_state if state is None else adjoint_state + state
            handed_on = None
        ivp.observer.tell("accept_step_adjoint", step.stretch.t0, y, step.stretch.h)
        y_next = y
    stats.nfe_backward = ivp.field.nfe - nfe_before
    stats.nvjp = pullback.num_calls
    stats.num_replayed = stats.nfe_backward - pullback.num_evaluations
    return Gradients(
        adjoint_state + cotangents[0], pullback.param_gradients, times=None, knots=None
    )


def _shares(
    way: Way,
    inside: OutputCotangents | None,
    handed_on: Tensor | None,
    zeros: Tensor,
    *,
    makes_first: bool,
    uses_end: bool,
) -> list[Tensor]:
    """Return the cotangents of the slopes that a step has made, but for what it does with them."""
    count = len(way.outputs) - 2
    shares = [zeros] * count
    if inside is not None:
        first = 0 if makes_first else 1
        last = count if makes_first else count - 1
        shares[:last] = [inside.of_slope(first + i) for i in range(last)]
        if uses_end and not makes_first:
            shares[-1] = inside.of_slope(-1)
    if handed_on is not None:
        shares[-1] = shares[-1] + handed_on
    return shares


def _pulled(pullback: Pullback, t: Tensor, y: Tensor, cotangent: Tensor) -> Tensor | None:
    """Pull a cotangent back through an evaluation that is no part of a step's graph."""
    with torch.enable_grad():
        return pullback(t, y, cotangent).state


def _places(way: Way, params: Sequence[Tensor], *, is_complete: bool) -> list[int | None]:
    """Return which parameter each input of a graph is, None for one that is none.

    Raises
    ------
    CapturedTensorError
        If one of them is to have a gradient, and is not known.
    """
    with torch.enable_grad():
        edges = {get_gradient_edge(param): place for place, param in enumerate(params)}
        found: list[int | None] = []
        for x in way.inputs:
            if not (isinstance(x, Tensor) and x.requires_grad):
                found.append(None)
                continue
            edge = get_gradient_edge(x)
            if is_complete and edge not in edges:
                KnownTensors(params).check(edge.node)
            found.append(edges.get(edge))
    return found
