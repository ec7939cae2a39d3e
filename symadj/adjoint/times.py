"""The gradient with respect to time: of the outputs, and of what the steps hang on.

The steps hang on *knots*: on a fixed grid, on every grid point (``t_n`` and ``h_n = t_{n+1} - t_n``
move with them); under error control, on the initial time alone, as accepted sizes are held fixed.
"""

import torch
from torch import Tensor

from symadj.adjoint.pullback import Pulled
from symadj.forward.trajectory import StepGrid


class TimeGradient:
    """Gradient with respect to the knots, stage by stage.

    A stage has the time ``t_n + c_i h``, and ``h`` stands before every slope. Hence, with
    ``τ_i = (∂f/∂t)_iᵀ μ_i``, ``t̄_n = Σ τ_i`` and ``h̄ = Σ (c_i τ_i + μ_iᵀ k_i / h)``: the
    second term collects what ``λᵀ Σ b_i k_i`` and every ``ℓ_iᵀ Σ a_ij k_j`` contribute, as
    ``μ_i/h`` is the factor of ``k_i`` in all of them.

    Parameters
    ----------
    knots : Tensor, shape (K,)
        The times on which the steps hang.
    is_grid : bool
        Whether the knots are the grid points; otherwise there is one, the initial time.
    """

    def __init__(self, knots: Tensor, *, is_grid: bool) -> None:
        self.knots = torch.zeros_like(knots)
        self._is_grid = is_grid

    def add_stage(
        self, index: int, node: float, h: float, pulled: Pulled, cotangent: Tensor
    ) -> None:
        """Add what stage ``node`` (its ``c_i``) of step ``index`` contributes."""
        if not self._is_grid:
            if pulled.time is not None:
                self.knots[0] += pulled.time
            return
        size = _real_dot(cotangent, pulled.slope).to(self.knots.dtype) / h
        if pulled.time is not None:
            size += pulled.time * node
            self.knots[index] += pulled.time
        self.knots[index] -= size
        self.knots[index + 1] += size

    def add_outputs(self, steps: StepGrid, per_output: Tensor) -> None:
        """Add how the knots move the place of each output inside its step.

        Parameters
        ----------
        steps : sequence of Step
        per_output : Tensor, shape (T,)
            Gradient with respect to each output time.
        """
        if not self._is_grid:
            self.knots[0] -= per_output.sum()
            return
        for index, step in enumerate(steps):
            for offset, theta in enumerate(step.thetas):
                moved = per_output[step.first_output + offset]
                self.knots[index] -= moved * (1.0 - theta)
                self.knots[index + 1] -= moved * theta


def output_time_gradient(cotangents: Tensor, output_slopes: Tensor) -> Tensor:
    """Return the gradient with respect to each output time, shape (T,).

    Parameters
    ----------
    cotangents, output_slopes : Tensor, shape (T, n)
        Cotangents of the outputs, and dy/dt there.
    """
    return (cotangents.conj() * output_slopes).real.sum(1)


def _real_dot(cotangent: Tensor, slope: Tensor) -> Tensor:
    """Real inner product of two vectors, complex ones as vectors of twice the length."""
    return torch.vdot(cotangent, slope.to(cotangent.dtype)).real
