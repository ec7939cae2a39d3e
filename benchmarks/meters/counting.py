"""Counts of one solve and its gradient: evaluations, vjps and steps, for every method alike."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..problems import State

Phase = Literal["forward", "backward"]


class _CountVjp(torch.autograd.Function):
    """The identity; counts how often something is differentiated through it."""

    @staticmethod
    def forward(ctx: Any, counter: CountingField, *slopes: Tensor) -> tuple[Tensor, ...]:
        ctx.counter = counter
        return tuple(slope.view_as(slope) for slope in slopes)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        ctx.counter.nvjp[ctx.counter.phase] += 1
        return None, *cotangents


class CountingField(nn.Module):
    """A vector field that counts its evaluations, its vjps and the solver's steps.

    Counting in the field itself treats every method alike. The solver's steps come by
    torchdiffeq's callbacks, which symadj calls too; on a fixed grid every step is accepted and
    only ``callback_step`` exists.

    Attributes
    ----------
    phase : {"forward", "backward"}
        Set by the caller before each pass; steps taken again in the backward pass don't count.
    nfe : dict from phase to int
        Evaluations.
    nvjp : dict from phase to int
        Vector-Jacobian products.
    accepted_steps : list of (t0, dt)
        Of the forward pass.
    num_rejected : int
        Of the forward pass.
    stats : object
        What the solver itself counts, if it tells: symadj alone knows which steps it replays.
    """

    def __init__(self, field: nn.Module, *, is_adaptive: bool) -> None:
        super().__init__()
        self.field = field
        self.phase: Phase = "forward"
        self.nfe = {"forward": 0, "backward": 0}
        self.nvjp = {"forward": 0, "backward": 0}
        self.accepted_steps: list[tuple[float, float]] = []
        self.num_rejected = 0
        self.stats: object = None
        if is_adaptive:
            self.callback_accept_step = self._count_accepted
            self.callback_reject_step = self._count_rejected
        else:
            self.callback_step = self._count_accepted

    def _count_accepted(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        if self.phase == "forward":
            self.accepted_steps.append((float(t0), float(dt)))

    def _count_rejected(self, t0: Tensor, y0: State, dt: Tensor) -> None:
        if self.phase == "forward":
            self.num_rejected += 1

    def callback_stats(self, stats: object) -> None:
        """Take what the solver counts; the figures of the backward pass are in it afterwards."""
        self.stats = stats

    @property
    def num_replayed_steps(self) -> float:
        """Steps taken again in the backward pass; NaN where the solver does not tell."""
        return float(getattr(self.stats, "num_replayed_steps", math.nan))

    def forward(self, t: Tensor, y: State) -> State:
        """Return the field's dy/dt."""
        self.nfe[self.phase] += 1
        slope: State = self.field(t, y)
        if isinstance(slope, tuple):
            return self._counted(slope)
        (single,) = self._counted((slope,))
        return single

    def _counted(self, slopes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        through: tuple[Tensor, ...] = _CountVjp.apply(self, *slopes)  # type: ignore[no-untyped-call]
        return through
