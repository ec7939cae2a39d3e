"""The cotangents of a step's slopes, while what its stages hand on is gathered.

With ``λ`` the adjoint state and ``μ_i`` the cotangent of the slope ``k_i``::

    μ_i = h ( b_i λ_{n+1} + Σ_{j>i} a_ji ℓ_j )        λ_n = λ_{n+1} + Σ_i ℓ_i

Both ways add the same terms in the same order, so that a gradient has the same bits whatever is
kept of a step.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from symadj.forward.summation import ONE
from symadj.forward.transforms import is_batch
from symadj.forward.weights import Weights


class SlopeCotangents(Protocol):
    """The cotangents of one step's slopes, asked for from the last stage to the first."""

    def begin(self, adjoint_state: Tensor) -> None:
        """Begin a step whose end has ``λ_{n+1}``, shape (n,)."""

    def of_stage(self, i: int) -> Tensor:
        """Return ``μ_i``, shape (n,), once the stages after it have handed on theirs."""

    def hand_on(self, i: int, state: Tensor | None) -> None:
        """Take ``ℓ_i``, shape (n,), or None for zero."""

    def end(self) -> Tensor:
        """Return ``λ_n``, shape (n,)."""


class Scattered:
    """Adds what a stage hands on to all that it has a share in, at once.

    That is one operation for each stage. It takes the memory of s + 1 states, whatever else is
    alive.

    Parameters
    ----------
    weights : Weights
        Those of the step's size.
    like : Tensor, shape (n,)
        An adjoint state.
    """

    def __init__(self, weights: Weights, like: Tensor) -> None:
        self._weights = weights
        self._is_batch = is_batch(like)
        self._rows = like.new_empty(weights.num_stages + 1, like.numel())  # λ, then each μ_i
        self._each = self._rows.unbind()
        self._upto = [self._rows[: i + 1] for i in range(weights.num_stages)]

    def begin(self, adjoint_state: Tensor) -> None:
        """Begin a step."""
        shares = self._weights.handed_on[-1]
        if self._is_batch:
            self._rows.copy_(shares * adjoint_state)
        else:
            torch.mul(shares, adjoint_state, out=self._rows)

    def of_stage(self, i: int) -> Tensor:
        """Return ``μ_i``."""
        return self._each[i + 1].clone()  # what a hook in f takes of it may outlive the step

    def hand_on(self, i: int, state: Tensor | None) -> None:
        """Take ``ℓ_i``."""
        if state is not None:
            self._upto[i].addcmul_(self._weights.handed_on[i], state)

    def end(self) -> Tensor:
        """Return ``λ_n``."""
        return self._each[0].clone()


class Gathered:
    """Keeps what each stage hands on, and adds up a cotangent when it is asked for.

    Parameters
    ----------
    weights : Weights
        Those of the step's size.
    places : sequence of Tensor, shape (n,), or None
        Where ``ℓ_i`` is written to. Until then it may hold what earlier stages need. None to keep
        what is handed on as it is, in memory that only then is taken.
    """

    def __init__(self, weights: Weights, places: Sequence[Tensor] | None) -> None:
        self._weights = weights
        self._places = places
        self._handed_on: list[Tensor | None] = [None] * weights.num_stages
        self._adjoint_state = weights.rows

    def begin(self, adjoint_state: Tensor) -> None:
        """Begin a step."""
        self._adjoint_state = adjoint_state

    def of_stage(self, i: int) -> Tensor:
        """Return ``μ_i``."""
        weights = self._weights
        numbers, one = weights.numbers, ONE.get(self._adjoint_state.dtype)
        if one is None or not numbers:
            return self._of_stage_elsewhere(i)
        cotangent = torch.mul(self._adjoint_state, numbers[weights.b][i])
        for j in weights.uses[i]:
            state = self._handed_on[j]
            if state is not None:
                cotangent.addcmul_(one, state, value=numbers[j][i])
        return cotangent

    def _of_stage_elsewhere(self, i: int) -> Tensor:
        """Return ``μ_i`` where the weights are not known to Python."""
        rows = self._weights.rows
        cotangent = torch.mul(self._adjoint_state, rows[self._weights.b, i])
        for j in self._weights.uses[i]:
            state = self._handed_on[j]
            if state is not None:
                cotangent.addcmul_(state, rows[j, i])
        return cotangent

    def hand_on(self, i: int, state: Tensor | None) -> None:
        """Take ``ℓ_i``."""
        if state is not None and self._places is not None:
            state = self._places[i].copy_(state)
        self._handed_on[i] = state

    def end(self) -> Tensor:
        """Return ``λ_n``."""
        total = self._adjoint_state.clone()
        for state in reversed(self._handed_on):
            if state is not None:
                total.add_(state)
        self._adjoint_state = self._weights.rows  # nothing of the step stays alive
        self._handed_on = [None] * self._weights.num_stages
        return total
