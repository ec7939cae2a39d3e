"""One Runge-Kutta step.

For an explicit method (A, b, c) with slopes k_i (Hairer, Norsett & Wanner, Solving Ordinary
Differential Equations I, 2nd ed., 1993, doi:10.1007/978-3-540-78862-1, II (1.8))::

    Y_i     = y_n + h Σ_{j<i} a_ij k_j        k_i = f(t_n + c_i h, Y_i)
    y_{n+1} = y_n + h Σ_i b_i k_i

`symadj.adjoint.step` reads the same lines backwards.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from torch import Tensor

from symadj.forward.field import Field
from symadj.forward.implicit import solve_stages
from symadj.forward.slopes import Slopes
from symadj.tableaus import ButcherTableau

KeepState: TypeAlias = Callable[[int, Tensor], object]
"""Told of a stage's index and its state, shape (n,)."""


def rk_step(
    field: Field,
    slopes: Slopes,
    y: Tensor,
    times: Sequence[Tensor],
    keep_state: KeepState | None = None,
) -> Tensor:
    """Take one step from ``y``, whose first slope ``k_0`` is there.

    Parameters
    ----------
    field : Field
    slopes : Slopes
        Slope 0 is read, the others are written. Their weights are those of the step's size.
    y : Tensor, shape (n,)
        The state ``y_n``.
    times : sequence of Tensor, shape ()
        Times of the slopes.
    keep_state : callable, optional
        Told of every stage state after the first, which is ``y``.

    Returns
    -------
    Tensor, shape (n,)
        The state ``y_{n+1}``.
    """
    for i in range(1, slopes.weights.num_stages):
        stage_state = slopes.advance(y, i)
        if keep_state is not None:
            keep_state(i, stage_state)
        slopes.put(i, field(times[i], stage_state))
    return slopes.advance(y, slopes.weights.b)


def implicit_rk_step(
    field: Field,
    tableau: ButcherTableau,
    slopes: Slopes,
    y: Tensor,
    times: Sequence[Tensor],
    h: float,
    keep_state: KeepState | None = None,
) -> Tensor | None:
    """Take one step of an implicit method; parameters as for `rk_step`.

    Returns
    -------
    Tensor, shape (n,), or None
        The state ``y_{n+1}``; None where its stage equations could not be solved.
    """
    solution = solve_stages(field, tableau, y, times, h)
    if not solution.converged:
        return None
    for i, (slope, stage_state) in enumerate(
        zip(solution.slopes, solution.stage_states, strict=True)
    ):
        slopes.put(i, slope)
        if keep_state is not None:
            keep_state(i, stage_state)
    return slopes.advance(y, slopes.weights.b)
