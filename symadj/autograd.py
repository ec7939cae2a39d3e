"""The single `torch.autograd.Function`: glue between a solve that was made and its sweep."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from symadj.adjoint.snapshots import Snapshots
from symadj.adjoint.sweep import adjoint_sweep
from symadj.forward.solve import Integration
from symadj.forward.trajectory import Stats, StepGrid


@dataclass(frozen=True, slots=True)
class Record:
    """A solve without its tensors, which autograd keeps: so it, too, decides when they are freed.

    Attributes
    ----------
    ivp : Integration
    steps : sequence of Step
    per_step : int
        States kept of each step.
    stats : Stats
    num_params : int
    """

    ivp: Integration
    steps: StepGrid
    per_step: int
    stats: Stats
    num_params: int


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
        ctx.save_for_backward(y0, knots, *params, *internals)
        return ys.pop()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: Tensor) -> tuple[Tensor | None, ...]:
        record: Record = ctx.record
        _, knots, *rest = ctx.saved_tensors
        params, internals = rest[: record.num_params], rest[record.num_params :]
        output_slopes, y_end, *kept = internals
        _, _, _, _, wants_times, wants_knots, *_ = ctx.needs_input_grad
        gradients = adjoint_sweep(
            record.ivp,
            record.steps,
            Snapshots(record.per_step, kept),
            y_end,
            cotangents.contiguous(),
            params,
            record.stats,
            knots=knots if wants_times or wants_knots else None,
            output_slopes=output_slopes,
        )
        return (
            None,
            None,
            None,
            gradients.y0,
            gradients.times,
            gradients.knots if wants_knots else None,
            *gradients.params,
        )
