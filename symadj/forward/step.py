"""One Runge-Kutta step.

For an explicit method (A, b, c) with slopes k_i (Hairer, Norsett & Wanner, Solving Ordinary
Differential Equations I, 2nd ed., 1993, doi:10.1007/978-3-540-78862-1, II (1.8))::

    Y_i     = y_n + h Σ_{j<i} a_ij k_j        k_i = f(t_n + c_i h, Y_i)
    y_{n+1} = y_n + h Σ_i b_i k_i

`symadj.adjoint.step` reads the same lines backwards.

The sums are made as torchdiffeq makes them, products first and then their sum over the last
dimension, so that every bit is the same. A matrix-vector product is up to ten times as fast, but
rounds otherwise; and where an error estimate is itself of the size of rounding errors, as with
dopri8 at tolerances that it meets with ease, or in float32, other rounding means other step sizes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.field import Field
from symadj.forward.weights import Weights


class Slopes:
    """The slopes of one step, side by side in one buffer.

    Attributes
    ----------
    all : Tensor, shape (n, s + 1)
        Column ``i`` is ``k_i``, the last the end slope ``f(t_{n+1}, y_{n+1})``.
    columns : tuple of Tensor, shape (n,)
        Views of its columns.
    """

    __slots__ = ("all", "columns")

    def __init__(self, y: Tensor, num_stages: int) -> None:
        self.all = y.new_empty(y.numel(), num_stages + 1)
        self.columns = self.all.unbind(1)

    def combine(self, weights: Tensor) -> Tensor:
        """Return ``Σ_i w_i k_i`` over the first slopes, as many as there are weights; (n,)."""
        return torch.sum(self.all[:, : len(weights)] * weights, dim=-1)


def rk_stages(
    field: Field,
    weights: Weights,
    slopes: Slopes,
    y: Tensor,
    times: Sequence[Tensor],
    num_slopes: int,
    stage_states: list[Tensor] | None = None,
) -> None:
    """Make the stages of a step from ``y``, whose first slope ``k_0`` is there.

    Parameters
    ----------
    field : Field
    weights : Weights
        Of the step's size.
    slopes : Slopes
        Column 0 is read, columns 1 to ``num_slopes - 1`` are written.
    y : Tensor, shape (n,)
        The state ``y_n``.
    times : sequence of Tensor, shape ()
        Times of the slopes.
    num_slopes : int
        How many slopes are wanted: s, or fewer where the last stage states alone are.
    stage_states : list of Tensor, optional
        Receives all the stage states ``Y_0 .. Y_{s-1}``, each of shape (n,); without it they are
        not kept.
    """
    if stage_states is not None:
        stage_states.append(y)
    last = num_slopes if stage_states is None else weights.num_stages
    for i in range(1, last):
        stage_state = slopes.combine(weights.a_row[i]).add_(y)
        if i < num_slopes:
            slopes.columns[i].copy_(field(times[i], stage_state))
        if stage_states is not None:
            stage_states.append(stage_state)


def rk_step(
    field: Field,
    weights: Weights,
    slopes: Slopes,
    y: Tensor,
    times: Sequence[Tensor],
    stage_states: list[Tensor] | None = None,
) -> Tensor:
    """Take one step from ``y``; parameters as for `rk_stages`.

    Returns
    -------
    Tensor, shape (n,)
        The state ``y_{n+1}``.
    """
    rk_stages(field, weights, slopes, y, times, weights.num_stages, stage_states)
    return slopes.combine(weights.b).add_(y)
