"""A step as ``torch.compile`` traces it: `symadj.forward.step`, its numbers part of the graph.

What changes from step to step (state, times, size) comes in by tensors, so that one graph serves
all steps of a shape.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from symadj.errors import InvalidSlopeError
from symadj.state import Packing
from symadj.tableaus import ButcherTableau

Traced: TypeAlias = Callable[..., Any]


class Method(NamedTuple):
    """A tableau as numbers that become part of the graph.

    Attributes
    ----------
    rows : tuple of tuple of float
        Rows of ``a`` of the own stages.
    b : tuple of float
    error : tuple of float
        ``b - b_hat``; empty where no error is estimated.
    nodes : tuple of float
        ``c`` of the own stages, then 1.
    is_fsal : bool
        Whether the estimate reads the end slope.
    """

    rows: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    error: tuple[float, ...]
    nodes: tuple[float, ...]
    is_fsal: bool

    @staticmethod
    @lru_cache(maxsize=64)
    def of(tableau: ButcherTableau) -> "Method":
        """Read an explicit tableau."""
        s = tableau.num_evaluations
        b = tuple(float(x) for x in tableau.weights)
        return Method(
            tuple(tuple(float(x) for x in row) for row in tableau.rows),
            b[:s],
            tuple(
                float(x) - float(y)
                for x, y in zip(tableau.weights, tableau.b_hat or (), strict=False)
            ),
            tuple(float(x) for x in tableau.nodes),
            tableau.is_fsal,
        )


def slope_of(func: Any, packing: Packing, args: tuple[Any, ...], t: Tensor, y: Tensor) -> Tensor:
    """Evaluate ``f`` on a flat state, as `Field` does but for what only happens outside of graphs.

    ``f`` gets a copy, which costs nothing in a graph: one that changed its state in place would be
    refused by `Field`, and here it must at least not change the solver's.
    """
    slope = packing.join(packing.parts_of_slope(func(t, packing.unpack(y.clone()), *args)))
    if slope.is_complex() and not y.is_complex():
        raise InvalidSlopeError("f returned a complex slope of a real state.")  # said by `Field`
    return slope.contiguous()  # as the next step's graph will read it


def stage_times(nodes: Sequence[float], span: Tensor, like: Tensor) -> list[Tensor]:
    """Return the times of the slopes, as `Clock` tells them.

    Parameters
    ----------
    nodes : sequence of float
    span : Tensor, shape (5,)
        See `span_of`.
    like : Tensor
        A state, for the dtype.
    """
    t0, h, t1, first, end = span.unbind()
    times = []
    for i, node in enumerate(nodes):
        time = (t1 if node == 1.0 else h * node + t0).to(like.dtype)
        shift = (first if i == 0 else end).to(like.dtype)
        if i == 0 or node == 1.0:
            time = torch.nextafter(time, time + shift)
        times.append(time)
    return times


def end_time(span: Tensor, like: Tensor) -> Tensor:
    """Return the time of the end slope alone; parameters as for `stage_times`."""
    time = span[2].to(like.dtype)
    return torch.nextafter(time, time + span[4].to(like.dtype))


def combine(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return the weighted sum of slopes, at least one of whose weights is not zero."""
    terms = [weight * slope for weight, slope in zip(weights, slopes, strict=False) if weight]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def advance(y: Tensor, h: Tensor, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return ``y`` plus ``h`` times the weighted sum of slopes."""
    return y + h * combine(weights, slopes) if any(weights) else y.clone()


def step_function(method: Method, *, makes_first: bool, is_differentiated: bool = False) -> Traced:
    """Return a function that takes a step.

    It returns the state at the end; the norm of the scaled error, or None without a norm; the stage
    states but the first; and the slopes that it made.

    Parameters
    ----------
    method : Method
    makes_first : bool
        Whether it evaluates the first slope, too.
    is_differentiated : bool
        Whether it is differentiated as a whole: the norm has no gradient then, and nobody wants the
        stage states.
    """
    num_stages = len(method.rows)

    def step(
        func: Any,
        packing: Packing,
        args: tuple[Any, ...],
        rtol: Tensor,
        atol: Tensor,
        norm: Callable[[Tensor], Any] | None,
        y: Tensor,
        span: Tensor,
        first_slope: Tensor | None,
    ) -> Any:
        times, h = stage_times(method.nodes, span, y), span[1].to(y.dtype)
        slopes: list[Tensor] = []
        states = []
        for i in range(num_stages):
            state = advance(y, h, method.rows[i], slopes) if i else y
            if i:
                states.append(state)
            if i == 0 and first_slope is not None:
                slopes.append(first_slope)
            else:
                slopes.append(slope_of(func, packing, args, times[i], state).to(y.dtype))
        y1 = advance(y, h, method.b, slopes)
        ratio = None
        if norm is not None:
            if method.is_fsal:
                slopes.append(slope_of(func, packing, args, times[-1], y1).to(y.dtype))
            made, start, end = slopes, y, y1
            if is_differentiated:
                made, start, end = [slope.detach() for slope in made], y.detach(), y1.detach()
            error = h * combine(method.error, made)
            scale = atol + rtol * torch.maximum(start.abs(), end.abs())
            ratio = torch.as_tensor(norm(error / scale))
        wanted = () if is_differentiated else states
        return y1, ratio, *wanted, *(slopes if makes_first else slopes[1:])

    return step


def replay_function(method: Method) -> Traced:
    """Return a function that makes the stage states of a step again, but for the first."""
    num_stages = len(method.rows)

    def replay(
        func: Any, packing: Packing, args: tuple[Any, ...], y: Tensor, span: Tensor
    ) -> list[Tensor]:
        times, h = stage_times(method.nodes, span, y), span[1].to(y.dtype)
        slopes: list[Tensor] = []
        states, state = [], y
        for i in range(1, num_stages):
            slopes.append(slope_of(func, packing, args, times[i - 1], state).to(y.dtype))
            state = advance(y, h, method.rows[i], slopes)
            states.append(state)
        return states

    return replay
