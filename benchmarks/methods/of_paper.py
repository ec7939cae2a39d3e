"""The paper's own code, where somebody has put it on the path: it has no licence to be copied.

It cuts a step at every output. On a fixed grid it knows no step size, but steps from output to
output, so it is given the grid as outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Method, NotOfferedError, Solve
from .output_grid import grid_of_outputs
from .packages import PAPER, load

ADAPTIVE = {"bosh3": "bosh3", "dopri5": "dopri5", "dopri8": "dopri8"}
FIXED = {"midpoint": "midpoint", "rk4": "rk38"}  # torchdiffeq's rk4 is the 3/8 rule


def _paper(function: str) -> Solve:
    def solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        odeint: Callable[..., Any] = getattr(load(PAPER), function)
        is_fixed = "step_size" in how.options
        names = FIXED if is_fixed else ADAPTIVE
        if how.tableau not in names:
            raise NotOfferedError(
                f"the paper's code has no (right) {how.tableau}; it has {', '.join(names)}"
            )
        if "jump_t" in how.options or "perturb" in how.options:
            raise NotOfferedError(
                "the paper's code differentiates across jumps wrongly, and in one block of a stack "
                "stops at the other blocks' parameters"
            )
        times, rows = grid_of_outputs(t, how) if is_fixed else (t, None)
        options = {} if is_fixed else {"first_step": how.options["first_step"]}
        # its times have the state's dtype
        dtype = (y0[0] if isinstance(y0, tuple) else y0).dtype
        ys = odeint(
            field,
            y0,
            times.to(dtype),
            rtol=how.rtol,
            atol=how.atol,
            method=names[how.tableau],
            options=options,
        )
        if rows is None:
            outputs: State = ys
        elif isinstance(ys, tuple):
            outputs = tuple(part[rows] for part in ys)
        else:
            outputs = ys[rows]
        return outputs

    return solve


METHODS = (
    Method("paper-symplectic", _paper("odeint_symplectic_adjoint"), takes_same_steps=False),
    Method("paper-aca", _paper("odeint_checkpoint"), takes_same_steps=False),
)
