"""One Runge-Kutta step transposed: `symadj.forward.step` read backwards.

With ``λ`` the adjoint state (∂L/∂y), ``μ_i`` the cotangent of the slope ``k_i`` and ``g`` that of
an output ``y_n + h Σ_i w_i(θ) k_i`` inside the step::

    μ_i = h ( b_i λ_{n+1} + Σ_{j>i} a_ji ℓ_j + Σ_out w_i(θ) g )      ℓ_i = (∂f/∂y)_iᵀ μ_i
    λ_n = λ_{n+1} + Σ_i ℓ_i + Σ_out g

It divides by no ``b_i``. With ``μ_i = h b_i Λ_i`` it is the symplectic partner of the tableau,
``b_i â_ij + b̂_j a_ji = b_i b̂_j`` (Sanz-Serna, SIAM Review 58(1), 2016, doi:10.1137/151002769;
Matsubara, Miyatake & Yaguchi, NeurIPS 2021, arXiv:2102.09750).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from symadj.adjoint.cotangents import SlopeCotangents
from symadj.adjoint.evaluation import Evaluation
from symadj.adjoint.pullback import Pullback, Pulled
from symadj.adjoint.times import TimeGradient
from symadj.forward.products import product
from symadj.forward.solve import Integration
from symadj.forward.trajectory import Step
from symadj.forward.weights import Weights
from symadj.tableaus import ButcherTableau


class OutputCotangents:
    """Cotangents of the outputs inside a step.

    Parameters
    ----------
    cotangents : Tensor, shape (k, n)
    weights : Tensor, shape (k, s + 1)
        ``h w_i(θ)`` of each output, the end slope's in the last column.

    Attributes
    ----------
    cotangents, weights
        As above.
    """

    __slots__ = ("_each", "_transposed", "cotangents", "weights")

    def __init__(self, cotangents: Tensor, weights: Tensor) -> None:
        self.cotangents, self.weights = cotangents, weights
        self._transposed, self._each = cotangents.T, weights.unbind(1)

    def of_slope(self, i: int) -> Tensor:
        """Return what they contribute to the cotangent of slope ``i`` (-1: the end slope)."""
        return product(self._transposed, self._each[i])


def output_cotangents(ivp: Integration, step: Step, cotangents: Tensor) -> OutputCotangents | None:
    """Return the cotangents of the outputs inside a step, None where there are none."""
    thetas = step.interior_thetas
    if not thetas:
        return None
    weights = ivp.interpolant.weights(thetas, step.stretch.h, cotangents)
    return OutputCotangents(cotangents[step.interior_outputs], weights)


class StageStates(Protocol):
    """The states of a step's stages, asked for from the last to the first."""

    def __getitem__(self, i: int, /) -> Tensor:
        """Return ``Y_i``, shape (n,)."""


class Stages(NamedTuple):
    """The stages of a step, to be transposed.

    Attributes
    ----------
    states : StageStates
        ``Y_0 .. Y_{s-1}``.
    evaluations : dict of int to Evaluation
        Those stages that were evaluated with a graph already; taken out as they are used.
    """

    states: StageStates
    evaluations: dict[int, Evaluation] = {}  # noqa: RUF012 - nothing is put in


@dataclass(frozen=True, slots=True)
class StepAdjoint:
    """What transposes the steps of one trajectory.

    Attributes
    ----------
    tableau : ButcherTableau
    weights : Weights
    pullback : Pullback
    time_gradient : TimeGradient or None
        Where time's gradient is collected, if it is wanted.
    """

    tableau: ButcherTableau
    weights: Weights
    pullback: Pullback
    time_gradient: TimeGradient | None

    def collect(
        self, index: int, node: float, h: float, pulled: Pulled, cotangent: Tensor
    ) -> Tensor | None:
        """Return ``ℓ = (∂f/∂y)ᵀ μ`` of one slope, or None for zero, once time has its share.

        Parameters
        ----------
        index : int
            Which step the slope belongs to.
        node : float
            Its ``c_i``.
        h : float
            The step's size.
        pulled : Pulled
            What the slope's cotangent was pulled back to.
        cotangent : Tensor, shape (n,)
            That cotangent, ``μ``.
        """
        if self.time_gradient is not None:
            self.time_gradient.add_stage(index, node, h, pulled, cotangent)
        return pulled.state


def adjoint_step(
    adjoint: StepAdjoint,
    slopes: SlopeCotangents,
    index: int,
    h: float,
    times: Sequence[Tensor],
    stages: Stages,
    adjoint_state: Tensor,
    inside: OutputCotangents | None = None,
    handed_on: Tensor | None = None,
) -> Tensor:
    """Carry the adjoint state across one step, from its end to its start.

    Parameters
    ----------
    adjoint : StepAdjoint
        Its weights are those of the step's size.
    slopes : SlopeCotangents
        Gathers what the stages hand on.
    index : int
        Which step this is.
    h : float
        Step size.
    times : sequence of Tensor, shape ()
        Times of the slopes.
    stages : Stages
    adjoint_state : Tensor, shape (n,)
        ``λ_{n+1}``.
    inside : OutputCotangents, optional
        Cotangents of the outputs inside the step.
    handed_on : Tensor, shape (n,), optional
        Cotangent of ``k_0`` that stems from the step before, whose end slope it is.

    Returns
    -------
    Tensor, shape (n,)
        ``λ_n``.
    """
    weights, pullback = adjoint.weights, adjoint.pullback
    states, evaluations = stages
    slopes.begin(adjoint_state)
    with torch.enable_grad():  # for the evaluations: nothing else here requires a gradient
        for i in range(weights.num_stages - 1, -1, -1):
            cotangent = slopes.of_stage(i)
            if inside is not None:
                cotangent += inside.of_slope(i)
            if handed_on is not None and i == 0:
                cotangent += handed_on
            if i in evaluations:
                pulled = pullback.pull(evaluations.pop(i), cotangent)
            else:
                pulled = pullback(times[i], states[i], cotangent)
            slopes.hand_on(i, adjoint.collect(index, weights.c_numbers[i], h, pulled, cotangent))
            del pulled  # before the next is made
    total = slopes.end()
    return total if inside is None else total.add_(inside.cotangents.sum(0))
