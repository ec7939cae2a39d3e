"""The gradients that every method is held against, in float64.

Both are torchdiffeq's steps, differentiated one at a time, on a copy of the problem whose numbers
are those of the measured dtype, exactly. A step at a time, because backpropagation through a
thousand steps of a published network does not fit into a machine. symadj has no part in them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .discretization import Discretization
from .gradient import flat_gradient
from .methods import DEFAULT_CHECKPOINTS, METHODS
from .problems import ProblemInstance

REFERENCE = "checkpoint-step"
TIGHT_RTOL = 1e-8
ATOL_PER_RTOL = 0.01
NO_ERROR_CONTROL = 1e30  # a tolerance that every step meets


def true_gradient(instance: ProblemInstance, first_step: float, rtol: float = TIGHT_RTOL) -> Tensor:
    """Return the gradient of the exact solution, as near as tight tolerances come.

    Parameters
    ----------
    instance : ProblemInstance
        The problem in any dtype.
    first_step : float
        First step in units of t.
    rtol : float
        Relative tolerance: the problem's own, `Problem.reference_rtol`.

    Returns
    -------
    Tensor, shape (num_inputs,)
        Over y0 and the parameters, float64.
    """
    # A step ends at every output, since the interpolant in between is of order 4 only: over the
    # large steps of dopri8 its error would be that of a tolerance of 1e-5.
    options: dict[str, float | Tensor] = {
        "first_step": first_step,
        **_prescribed(instance.t[1:].tolist(), instance.jump_t),
    }
    tight = Discretization("dopri8", rtol=rtol, atol=rtol * ATOL_PER_RTOL, options=options)
    return _exact_gradient(instance, tight)


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
        return _exact_gradient(instance, how)
    # A tolerance without limit lets the solver stride from one prescribed time to the next.
    # A step ends where the next one starts: t0 + dt is that time up to rounding only, and beside a
    # jump there would be room for a step in between.
    ends = [*(t0 for t0, _ in accepted_steps[1:]), sum(accepted_steps[-1])]
    beyond = 10 * (ends[-1] - float(instance.t[0]))
    replay = Discretization(
        how.tableau,
        rtol=0.0,
        atol=NO_ERROR_CONTROL,
        options={
            "first_step": beyond,
            "ifactor": NO_ERROR_CONTROL,
            **_prescribed(ends, instance.jump_t),
        },
    )
    return _exact_gradient(instance, replay)


def _prescribed(ends: list[float], jump_t: tuple[float, ...]) -> dict[str, Tensor]:
    """Return the times at which steps are to end; torchdiffeq takes none of them twice."""
    times = {"step_t": [end for end in ends if end not in jump_t], "jump_t": jump_t}
    return {
        name: torch.tensor(given, dtype=torch.float64) for name, given in times.items() if given
    }


def _exact_gradient(instance: ProblemInstance, how: Discretization) -> Tensor:
    solve = METHODS[REFERENCE].solver(DEFAULT_CHECKPOINTS)
    return flat_gradient(instance.to(torch.float64, instance.t.device), solve, how)
