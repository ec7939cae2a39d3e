"""Outputs inside a step: linear in the slopes, ``y(t_n + θh) = y_n + h Σ_i w_i(θ) k_i``."""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.tableaus import ButcherTableau


class Interpolant:
    """Weights of the slopes as polynomials in θ without a constant term.

    Parameters
    ----------
    coefficients : sequence of sequence of float, s + 1 rows
        Row ``i`` holds the coefficients of θ, θ², ... in ``w_i``; the last row is the end slope's.

    Attributes
    ----------
    uses_end_slope : bool
        Whether an output needs ``f`` at the end of its step.
    """

    def __init__(self, coefficients: Sequence[Sequence[float]]) -> None:
        self._coefficients = torch.tensor(
            [[float(x) for x in row] for row in coefficients], dtype=torch.float64
        )
        self._powers = torch.arange(1, self._coefficients.shape[1] + 1, dtype=torch.float64)
        self.uses_end_slope = bool(self._coefficients[-1].any())

    def weights(self, thetas: Sequence[float], h: float, like: Tensor) -> Tensor:
        """Return ``h w_i(θ)``, shape (len(thetas), s + 1), in dtype and on device of ``like``."""
        theta = torch.tensor(thetas, dtype=torch.float64).unsqueeze(1)
        weights = theta**self._powers @ self._coefficients.T
        return weights.mul_(h).to(like.device, like.dtype)

    def slopes(self, thetas: Sequence[float], like: Tensor) -> Tensor:
        """Return ``w_i'(θ)``, shape (len(thetas), s + 1): weights of dy/dt at the outputs."""
        theta = torch.tensor(thetas, dtype=torch.float64).unsqueeze(1)
        weights = (self._powers * theta ** (self._powers - 1)) @ self._coefficients.T
        return weights.to(like.device, like.dtype)


def linear(tableau: ButcherTableau) -> Interpolant:
    """Straight line from ``y_n`` to ``y_{n+1}``, torchdiffeq's default on a fixed grid."""
    return Interpolant([[float(x)] for x in tableau.weights])


def dense(tableau: ButcherTableau) -> Interpolant:
    """The tableau's own interpolant: cubic on a fixed grid, quartic or better on an adaptive one.

    Raises
    ------
    ValueError
        If the tableau has none.
    """
    if tableau.dense_output is None:
        raise ValueError(f"tableau {tableau.name!r} has no dense output: give it dense_output.")
    return Interpolant(tableau.dense_output)
