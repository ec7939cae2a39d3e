"""How a problem is discretized in time, in the words that every solver understands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

GRID_ROUNDING = 1e-9  # of a step: what dividing a time span may cost


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
        torchdiffeq's: ``first_step`` and, where the field jumps, ``jump_t`` (adaptive), or
        ``step_size`` and ``perturb`` (fixed grid), in units of t.
    """

    tableau: str
    rtol: float
    atol: float
    options: Mapping[str, float | Tensor]


def adaptive(
    tableau: str, *, rtol: float, atol: float, first_step: float, jump_t: tuple[float, ...] = ()
) -> Discretization:
    """Error-controlled steps, the first of them given, that end at each time of ``jump_t``.

    The first step is given because backpropagation through torchdiffeq also differentiates its
    automatic choice, and the stage-wise adjoint does not: with the step given, all methods take
    the same steps and all exact ones return the same gradient.
    """
    options: dict[str, float | Tensor] = {"first_step": first_step}
    if jump_t:
        options["jump_t"] = torch.tensor(jump_t, dtype=torch.float64)
    return Discretization(tableau, rtol, atol, MappingProxyType(options))


def fixed_grid(
    tableau: str,
    *,
    num_steps: int,
    duration: float,
    start: float = 0.0,
    jump_t: tuple[float, ...] = (),
) -> Discretization:
    """``num_steps`` equal steps over a time span of ``duration``.

    Where the field jumps, at the times of ``jump_t``, the steps look at either side (``perturb``).

    Raises
    ------
    ValueError
        If a jump lies inside a step: such a step has no order of accuracy.
    """
    step_size = duration / num_steps
    for jump in jump_t:
        num_before = (jump - start) / step_size
        if abs(num_before - round(num_before)) > GRID_ROUNDING:
            raise ValueError(
                f"a grid of {num_steps} steps has no point at t = {jump:g}, where the field jumps; "
                "take a number of steps that is a multiple of the stacked blocks'"
            )
    options: dict[str, float | Tensor] = {"step_size": step_size}
    if jump_t:
        options["perturb"] = True
    return Discretization(tableau, rtol=0.0, atol=0.0, options=MappingProxyType(options))
