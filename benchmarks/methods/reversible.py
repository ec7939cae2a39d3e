"""MALI: the asynchronous leapfrog, reversed step by step, so that no state has to be kept.

A step of size h carries the state z and a slope v beside it, which starts as f(t0, z0):

    z' = z + h/2 v        u = f(t + h/2, z')        v_new = 2 u - v        z_new = z' + h/2 v_new

It is undone by the same formulas with -h. Its order is 2 and its steps are its own, so it is given
as many as reach the baseline's gradient error (`Method.calibrate`).

Zhuang, Dvornek, Tatikonda & Duncan, MALI, ICLR 2021, arXiv:2102.04668, algorithms 2 to 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .flat import FlatState
from .method import Method
from .pieces import piece_by_piece


@dataclass(frozen=True)
class Interval:
    """The equal steps between two outputs: when the first starts, their size, and how many."""

    start: float
    h: float
    num_steps: int

    def starts(self) -> Iterator[float]:
        """Yield when each step starts."""
        return (self.start + n * self.h for n in range(self.num_steps))

    def starts_reversed(self) -> Iterator[float]:
        """Yield the same, from the last to the first."""
        return (self.start + n * self.h for n in reversed(range(self.num_steps)))


Grid = list[Interval]


class _Leapfrog(torch.autograd.Function):
    """Forward with nothing kept but the end; backward through states that are made again."""

    @staticmethod
    def forward(ctx: Any, field: Any, grid: Grid, start: float, z: Tensor, *params: Tensor) -> Any:
        ctx.field, ctx.grid, ctx.start, ctx.params = field, grid, start, params
        v = field(z.new_tensor(start), z)
        zs = [z]
        for interval in grid:
            h = interval.h
            for t in interval.starts():
                middle = z + h / 2 * v
                v = 2 * field(z.new_tensor(t + h / 2), middle) - v
                z = middle + h / 2 * v
            zs.append(z)
        ctx.save_for_backward(z, v)
        return torch.stack(zs)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        z, v = ctx.saved_tensors
        totals = [torch.zeros_like(param) for param in ctx.params]
        z_bar, v_bar = torch.zeros_like(z), torch.zeros_like(v)
        for j, interval in reversed(list(enumerate(ctx.grid))):
            h = interval.h
            z_bar = z_bar + cotangent[j + 1]
            for t in interval.starts_reversed():
                middle = z - h / 2 * v
                v_bar = v_bar + h / 2 * z_bar
                slope, x_bar = _vjp(
                    ctx.field, z.new_tensor(t + h / 2), middle, 2 * v_bar, ctx.params, totals
                )
                v = 2 * slope - v
                z = middle - h / 2 * v
                z_bar = z_bar + x_bar
                v_bar = h / 2 * z_bar - v_bar
        _, x_bar = _vjp(ctx.field, z.new_tensor(ctx.start), z, v_bar, ctx.params, totals)
        return None, None, None, z_bar + x_bar + cotangent[0], *totals


def _vjp(
    field: Any,
    t: Tensor,
    z: Tensor,
    cotangent: Tensor,
    params: tuple[Tensor, ...],
    totals: list[Tensor],
) -> tuple[Tensor, Tensor]:
    """Return f and its vjp to the state, and add those to the parameters to the totals."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        slope = field(t, z)
    grads = torch.autograd.grad(
        slope, [z, *params], cotangent, allow_unused=True, materialize_grads=True
    )
    for total, grad in zip(totals, grads[1:], strict=True):
        total.add_(grad)
    return slope.detach(), grads[0]


def _solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    flat = FlatState.of(y0)
    params = [param for param in field.parameters() if param.requires_grad]
    grid = [_interval(start, stop, how) for start, stop in pairwise(t.tolist())]
    tell = getattr(field, "callback_step", None) or getattr(field, "callback_accept_step", None)
    if tell is not None:
        for interval in grid:
            for start in interval.starts():
                tell(torch.tensor(start), None, torch.tensor(interval.h))
    zs: Tensor = _Leapfrog.apply(  # type: ignore[no-untyped-call]
        flat.field(field), grid, float(t[0]), flat.flatten(y0), *params
    )
    return flat.unflatten(zs)


def _interval(start: float, stop: float, how: Discretization) -> Interval:
    """Divide the time between two outputs into steps, none longer than the step size."""
    size = float(how.options.get("step_size", how.options.get("first_step", math.inf)))
    num_steps = max(1, math.ceil((stop - start) / size * (1 - 1e-9)))
    return Interval(start, (stop - start) / num_steps, num_steps)


def _in_steps(how: Discretization, step_size: float) -> Discretization:
    options = {name: value for name, value in how.options.items() if name == "jump_t"}
    return Discretization(
        how.tableau, how.rtol, how.atol, MappingProxyType({**options, "step_size": step_size})
    )


METHODS = (Method("mali", piece_by_piece(_solve), takes_same_steps=False, calibrate=_in_steps),)
