"""The work that is measured: solve, loss, and the gradient of the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .discretization import Discretization
from .methods import Solve
from .problems import ProblemInstance


@dataclass(frozen=True)
class ForwardPass:
    """A loss, and the tensors that its gradient is taken of: y0's parts, then the parameters."""

    loss: Tensor
    inputs: tuple[Tensor, ...]

    def gradient(self) -> tuple[Tensor, ...]:
        """Differentiate the loss; inputs that it does not depend on get zeros."""
        return torch.autograd.grad(
            self.loss, self.inputs, allow_unused=True, materialize_grads=True
        )


def forward(instance: ProblemInstance, solve: Solve, how: Discretization) -> ForwardPass:
    """Solve the problem and evaluate its loss, ready to be differentiated."""
    if isinstance(instance.y0, tuple):
        y0 = tuple(part.detach().requires_grad_() for part in instance.y0)
        ys = solve(instance.field, y0, instance.t, how)
        parts = y0
    else:
        part = instance.y0.detach().requires_grad_()
        ys = solve(instance.field, part, instance.t, how)
        parts = (part,)
    return ForwardPass(instance.loss(ys), (*parts, *instance.field.parameters()))


def flat_gradient(instance: ProblemInstance, solve: Solve, how: Discretization) -> Tensor:
    """Return the whole gradient as one float64 vector on the CPU."""
    return flatten(forward(instance, solve, how).gradient())


def flatten(gradient: tuple[Tensor, ...]) -> Tensor:
    """Join a gradient's parts to one float64 vector on the CPU."""
    return torch.cat([part.detach().to("cpu", torch.float64).flatten() for part in gradient])


def relative_error(gradient: Tensor, reference: Tensor) -> float:
    """Return |g - g_ref| / |g_ref| in the Euclidean norm."""
    return float((gradient - reference).norm() / reference.norm())
