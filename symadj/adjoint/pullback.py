"""Vector-Jacobian products of the field, and the parameters' gradient that they add up to."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from symadj.forward.field import Field


class Pulled(NamedTuple):
    """One vector-Jacobian product.

    Attributes
    ----------
    state : Tensor, shape (n,), or None
        ``(∂f/∂y)ᵀ μ``; None where ``f`` does not depend on the state.
    time : Tensor, shape (), or None
        ``(∂f/∂t)ᵀ μ``; None where it is not wanted, or ``f`` does not depend on time.
    slope : Tensor, shape (n,)
        The slope itself, cut from its graph.
    """

    state: Tensor | None
    time: Tensor | None
    slope: Tensor


class Pullback:
    """Pulls cotangents of slopes back through ``f``, one evaluation's graph at a time.

    Parameters
    ----------
    field : Field
    params : sequence of Tensor
        What gets a gradient beside state and time.
    want_time : bool
        Whether gradients with respect to time are wanted.

    Attributes
    ----------
    param_gradients : list of Tensor
        Sum of ``(∂f/∂θ)ᵀ μ`` over all calls, one for each of ``params``, zeros where ``f`` does
        not use it. Added to in place: beside it there is only ever one call's own contribution.
    num_calls : int
    """

    def __init__(self, field: Field, params: Sequence[Tensor], *, want_time: bool) -> None:
        self._field = field
        self._params = tuple(params)
        self._want_time = want_time
        self.param_gradients = [torch.zeros_like(param) for param in params]
        self.num_calls = 0

    def __call__(self, t: Tensor, y: Tensor, cotangent: Tensor) -> Pulled:
        """Evaluate ``f`` at ``(t, y)`` with a graph, and pull ``cotangent`` back through it.

        Parameters
        ----------
        t : Tensor, shape ()
        y, cotangent : Tensor, shape (n,)
        """
        self.num_calls += 1
        y = y.detach().requires_grad_()
        t = t.detach().requires_grad_(self._want_time)
        with torch.enable_grad():
            slope = self._field(t, y)
        if not slope.requires_grad:
            return Pulled(None, None, slope)
        inputs = (y, *((t,) if self._want_time else ()), *self._params)
        state, *others = torch.autograd.grad(
            slope, inputs, cotangent.to(slope.dtype), allow_unused=True
        )
        time = others.pop(0) if self._want_time else None
        self._accumulate(others)
        return Pulled(state, time, slope.detach())

    def _accumulate(self, gradients: Sequence[Tensor | None]) -> None:
        used = [
            (total, gradient)
            for total, gradient in zip(self.param_gradients, gradients, strict=True)
            if gradient is not None
        ]
        if used:
            totals, contributions = zip(*used, strict=True)
            torch._foreach_add_(totals, contributions)
