"""The gradients that every method is held against, in float64.

Both are torchdiffeq's backpropagation, on a copy of the problem whose numbers are those of the
measured dtype, exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .discretization import Discretization
from .gradient import flat_gradient
from .methods import BASELINE, DEFAULT_CHECKPOINTS, METHODS
from .problems import ProblemInstance

TIGHT_RTOL = 1e-8
TIGHT_ATOL = 1e-10
NO_ERROR_CONTROL = 1e30  # a tolerance that every step meets


def true_gradient(instance: ProblemInstance, first_step: float) -> Tensor:
    """Return the gradient of the exact solution, as near as tight tolerances come.

    Parameters
    ----------
    instance : ProblemInstance
        The problem in any dtype.
    first_step : float
        First step in units of t.

    Returns
    -------
    Tensor, shape (num_inputs,)
        Over y0 and the parameters, float64.
    """
    # A step ends at every output, since the interpolant in between is of order 4 only: over the
    # large steps of dopri8 its error would be that of a tolerance of 1e-5.
    tight = Discretization(
        "dopri8",
        rtol=TIGHT_RTOL,
        atol=TIGHT_ATOL,
        options={"first_step": first_step, "step_t": instance.t[1:]},
    )
    return _backprop_gradient(instance, tight)


def step_gradient(
    instance: ProblemInstance, how: Discretization, accepted_steps: list[tuple[float, float]]
) -> Tensor:
    """Return the exact gradient of the steps that a method took, whatever dtype it took them in.

    Parameters
    ----------
    instance : ProblemInstance
        The problem in any dtype.
    how : Discretization
        As the method was given it; a fixed grid is taken again as it is.
    accepted_steps : list of (t0, dt)
        The steps of an adaptive solve, in increasing time.

    Returns
    -------
    Tensor, shape (num_inputs,)
        Over y0 and the parameters, float64.
    """
    if "first_step" not in how.options:
        return _backprop_gradient(instance, how)
    # A tolerance without limit lets the solver stride from one prescribed time to the next.
    ends = torch.tensor([t0 + dt for t0, dt in accepted_steps], dtype=torch.float64)
    beyond = 10 * float(ends[-1] - instance.t[0])
    replay = Discretization(
        how.tableau,
        rtol=0.0,
        atol=NO_ERROR_CONTROL,
        options={"first_step": beyond, "step_t": ends, "ifactor": NO_ERROR_CONTROL},
    )
    return _backprop_gradient(instance, replay)


def _backprop_gradient(instance: ProblemInstance, how: Discretization) -> Tensor:
    solve = METHODS[BASELINE].solver(DEFAULT_CHECKPOINTS)
    return flat_gradient(instance.to(torch.float64, instance.t.device), solve, how)
