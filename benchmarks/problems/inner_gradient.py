"""Derivatives taken inside a vector field, which may themselves have to be differentiated.

A solver may call a field with gradients disabled (then nothing must be recorded), or with a graph
under way (then the inner derivative must be part of that graph).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def inner_gradient(potential: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """Return the gradient of the sum of ``potential(y)`` with respect to y, in y's shape."""
    is_differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        y = _attached(y, is_differentiated)
        (gradient,) = torch.autograd.grad(potential(y).sum(), y, create_graph=is_differentiated)
    return gradient


def inner_vjp(
    function: Callable[[Tensor], Tensor], x: Tensor, cotangent: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``function(x)`` and its vector-Jacobian product with the cotangent, in x's shape."""
    is_differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        x = _attached(x, is_differentiated)
        value = function(x)
        (vjp,) = torch.autograd.grad(value, x, cotangent, create_graph=is_differentiated)
    return (value if is_differentiated else value.detach()), vjp


def _attached(x: Tensor, is_differentiated: bool) -> Tensor:
    """Return x if a graph runs through it, and a leaf with the same numbers if none does."""
    return x if is_differentiated and x.requires_grad else x.detach().requires_grad_()
