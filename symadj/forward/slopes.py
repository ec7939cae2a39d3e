"""The slopes of one step, and weighted sums of them.

The sums are made in torchdiffeq's order, so that every bit is the same: products first, then their
sum over the last dimension of a matrix whose columns are the slopes. A matrix-vector product is
faster, but rounds otherwise; and where an error estimate is itself of the size of rounding errors
(dopri8 at tolerances that it meets with ease, or float32), other rounding means other step sizes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.summation import ALIGNMENT
from symadj.forward.transforms import is_transformed
from symadj.forward.weights import Weights

PIECE = 64 * ALIGNMENT
"""States whose products are made at once: their buffer then stays in a core's cache."""


class SlopeColumns:
    """The slopes of one step as columns, in the layout of torchdiffeq.

    Attributes
    ----------
    k : sequence of Tensor, shape (n,)
        The slopes ``k_0 .. k_{s-1}``, then the end slope.
    weights : Weights
        The weights of the sums.
    """

    __slots__ = ("_all", "k", "weights")

    def __init__(self, y: Tensor, weights: Weights) -> None:
        self.weights = weights
        self._all = y.new_empty(y.numel(), weights.num_stages + 1)
        self.k: Sequence[Tensor] = self._all.unbind(1)

    def combine(self, row: int, count: int) -> Tensor:
        """Return the sum of the first ``count`` slopes, weighted; shape (n,).

        Parameters
        ----------
        row : int
            Which row of the weights: zero from ``count`` on.
        count : int
            Slopes from this on may not have been made yet.
        """
        return torch.sum(self._all[:, :count] * self.weights.rows[row, :count], dim=-1)

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def advance(self, y: Tensor, row: int, count: int) -> Tensor:
        """Return ``y`` plus the weighted sum; parameters as for `combine`."""
        return self.combine(row, count).add_(y)

    def forget(self) -> None:
        """Drop slopes that may not be finite: nothing to do, as no sum reads what it must not."""


class SlopeRows:
    """The slopes of one step as rows, in an order in which torch's fast sum returns the same bits.

    Its interface is that of `SlopeColumns`. Every row goes into every sum, those not made yet with
    weight zero: so they have to be finite.
    """

    __slots__ = ("_products", "_rows", "k", "weights")

    def __init__(self, y: Tensor, weights: Weights, order: tuple[int, ...]) -> None:
        n = y.numel()
        self.weights = weights
        self._rows = y.new_zeros(len(order), -(-n // ALIGNMENT) * ALIGNMENT)
        self._products = torch.empty_like(self._rows[:, :PIECE])
        self.k: Sequence[Tensor] = [self._rows[order.index(i), :n] for i in range(len(order))]

    def combine(self, row: int, count: int) -> Tensor:
        """Return the sum of the slopes, weighted; shape (n,)."""
        weights = self.weights.ordered_rows[row]
        length = self._rows.shape[1]
        if length <= PIECE:
            total = torch.mul(self._rows, weights, out=self._products).sum(0)
        else:
            total = self._rows.new_empty(length)
            for first in range(0, length, PIECE):
                piece = self._rows[:, first : first + PIECE]
                products = self._products[:, : piece.shape[1]]
                torch.mul(piece, weights, out=products)
                torch.sum(products, 0, out=total[first : first + PIECE])
        return total[: len(self.k[0])]

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def advance(self, y: Tensor, row: int, count: int) -> Tensor:
        """Return ``y`` plus the weighted sum."""
        return self.combine(row, count).add_(y)

    def forget(self) -> None:
        """Drop slopes that may not be finite, all but the first."""
        for slope in self.k[1:]:
            slope.zero_()


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

    def forget(self) -> None:
        """Drop slopes that may not be finite: nothing to do."""


Slopes = SlopeColumns | SlopeRows | SlopeList


def make_slopes(y: Tensor, weights: Weights) -> Slopes:
    """Return a buffer for the slopes of steps from states like ``y``."""
    if is_transformed():
        return SlopeList(weights)
    if weights.order is None:
        return SlopeColumns(y, weights)
    return SlopeRows(y, weights, weights.order)
