"""The slopes of one step, and weighted sums of them, with the bits of torchdiffeq's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.summation import Order, weighted_sum
from symadj.forward.transforms import is_transformed
from symadj.forward.weights import Weights


class SlopeColumns:
    """The slopes of one step as columns, in the layout of torchdiffeq.

    Attributes
    ----------
    k : sequence of Tensor, shape (n,)
        The slopes ``k_0 .. k_{s-1}``, then the end slope.
    columns : Tensor, shape (n, s + 1)
        They again, as a matrix.
    weights : Weights
        The weights of the sums.
    """

    __slots__ = ("columns", "k", "weights")

    def __init__(self, y: Tensor, weights: Weights, num_slopes: int) -> None:
        self.weights = weights
        self.columns = y.new_empty(y.numel(), num_slopes)
        self.k: Sequence[Tensor] = self.columns.unbind(1)

    def combine(self, row: int, count: int) -> Tensor:
        """Return the sum of the first ``count`` slopes, weighted; shape (n,).

        Parameters
        ----------
        row : int
            Which row of the weights: zero from ``count`` on.
        count : int
            Slopes from this on may not have been made yet.
        """
        return torch.sum(self.columns[:, :count] * self.weights.rows[row, :count], dim=-1)

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def advance(self, y: Tensor, row: int, count: int) -> Tensor:
        """Return ``y`` plus the weighted sum; parameters as for `combine`."""
        return self.combine(row, count).add_(y)


class SlopeRows:
    """The slopes of one step one after the other, for sums in torch's own order.

    Its interface is that of `SlopeColumns`.
    """

    __slots__ = ("_orders", "columns", "k", "weights")

    def __init__(
        self, y: Tensor, weights: Weights, num_slopes: int, orders: Sequence[Order]
    ) -> None:
        self.weights = weights
        self._orders = orders
        rows = y.new_empty(num_slopes, y.numel())
        self.columns = rows.T
        self.k: Sequence[Tensor] = rows.unbind()

    def combine(self, row: int, count: int) -> Tensor:
        """Return the sum of the slopes, weighted; shape (n,)."""
        order = self._orders[row]
        if not order:
            return torch.zeros_like(self.k[0])
        return weighted_sum(self.k, self.weights.numbers[row], order)

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def advance(self, y: Tensor, row: int, count: int) -> Tensor:
        """Return ``y`` plus the weighted sum."""
        return weighted_sum(self.k, self.weights.numbers[row], self._orders[row]).add_(y)


class SlopeList:
    """The slopes of one step as they are, for sums that autograd or ``torch.func`` look into.

    Its interface is that of `SlopeColumns`; nothing is written to in place.
    """

    __slots__ = ("k", "weights")

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.k: list[Tensor] = [weights.rows] * (weights.num_stages + 1)

    def combine(self, row: int, count: int) -> Tensor:
        """Return the sum of the first ``count`` slopes, weighted; shape (n,)."""
        return torch.sum(
            torch.stack(self.k[:count], dim=-1) * self.weights.rows[row, :count], dim=-1
        )

    def put(self, i: int, slope: Tensor) -> None:
        """Take slope ``i``."""
        self.k[i] = slope.to(self.weights.rows.dtype)

    def advance(self, y: Tensor, row: int, count: int) -> Tensor:
        """Return ``y`` plus the weighted sum."""
        return y + self.combine(row, count)


Slopes = SlopeColumns | SlopeRows | SlopeList


def make_slopes(y: Tensor, weights: Weights) -> Slopes:
    """Return a buffer for the slopes of steps from states like ``y``."""
    if is_transformed():
        return SlopeList(weights)
    return make_stage_slopes(y, weights, weights.num_stages + 1)


def make_stage_slopes(y: Tensor, weights: Weights, num_slopes: int) -> SlopeColumns | SlopeRows:
    """Return a buffer for so many slopes, the end slope last if it is to be one of them."""
    if weights.orders is None:
        return SlopeColumns(y, weights, num_slopes)
    return SlopeRows(y, weights, num_slopes, weights.orders)
