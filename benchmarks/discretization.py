"""How a problem is discretized in time, in the words that every solver understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor


@dataclass(frozen=True)
class Discretization:
    """A Runge-Kutta tableau and the rule for its steps.

    Attributes
    ----------
    tableau : str
        The method's name, the same in symadj and torchdiffeq.
    rtol, atol : float
        Tolerances of the error control; without effect on a fixed grid.
    options : mapping
        ``first_step`` (adaptive) or ``step_size`` (fixed grid), in units of t.
    """

    tableau: str
    rtol: float
    atol: float
    options: Mapping[str, float | Tensor]


def adaptive(tableau: str, *, rtol: float, atol: float, first_step: float) -> Discretization:
    """Error-controlled steps, the first of them given.

    The first step is given because backpropagation through torchdiffeq also differentiates its
    automatic choice, and the stage-wise adjoint does not: with the step given, all methods take
    the same steps and all exact ones return the same gradient.
    """
    return Discretization(tableau, rtol, atol, MappingProxyType({"first_step": first_step}))


def fixed_grid(tableau: str, *, num_steps: int, duration: float) -> Discretization:
    """``num_steps`` equal steps over a time span of ``duration``."""
    options = MappingProxyType({"step_size": duration / num_steps})
    return Discretization(tableau, rtol=0.0, atol=0.0, options=options)
