"""The classical Runge-Kutta method of order 4, by which the known equations' data are computed.

Data come from a solver of this folder's own, so that no method under test computes its own truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def rk4_states(
    slope: Callable[[Tensor], Tensor],
    y0: Tensor,
    *,
    times: Tensor,
    max_step: float,
    linear: Tensor | None = None,
) -> list[Tensor]:
    """Integrate dy/dt = linear y + slope(y) with steps of equal size in each output interval.

    Parameters
    ----------
    slope : callable
        The right-hand side, without its linear part if that is given apart.
    y0 : Tensor
        State at the first time, real or complex.
    times : Tensor, shape (num_outputs,)
        Increasing output times.
    max_step : float
        Largest time step; each output interval is divided evenly.
    linear : Tensor, optional
        Diagonal of a linear part, of y0's trailing shape. It is solved exactly by an integrating
        factor, so that its stiffness does not limit the step.

    Returns
    -------
    list of Tensor
        The states at the output times, y0 first.

    References
    ----------
    Lawson, SIAM J. Numer. Anal. 4(3), 1967, doi:10.1137/0704033 (integrating factors); Trefethen,
    Spectral Methods in MATLAB, SIAM 2000, doi:10.1137/1.9780898719598, program 27.
    """
    y = y0
    states = [y]
    for start, stop in pairwise(times.tolist()):
        num_steps = math.ceil((stop - start) / max_step)
        h = (stop - start) / num_steps
        # The exact flow of the linear part over half a step.
        half = 1.0 if linear is None else torch.exp(linear * h / 2)
        for _ in range(num_steps):
            k1 = h * slope(y)
            k2 = h * slope(half * (y + k1 / 2))
            k3 = h * slope(half * y + k2 / 2)
            k4 = h * slope(half * (half * y + k3))
            y = half * (half * (y + k1 / 6) + (k2 + k3) / 3) + k4 / 6
        states.append(y)
    return states
