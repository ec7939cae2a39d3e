"""The slopes of one step, and weighted sums of them, with the bits of torchdiffeq's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.forward.summation import Order, first_weights, weighted_sum
from symadj.forward.transforms import is_transformed
from symadj.forward.weights import Weights

FEW_NUMBERS = 256
"""Of states up to this size torch's own sum over columns is the fastest there is."""


class SlopeColumns:
    """The slopes of one step as columns, in the layout of torchdiffeq.

    Attributes
    ----------
    k : sequence of Tensor, shape (n,)
        The slopes ``k_0 .. k_{s-1}``, then the end slope.
    weights : Weights
        The weights of the sums.
    """

    __slots__ = ("_by_one_call", "_made", "k", "weights")

    def __init__(self, y: Tensor, weights: Weights, num_slopes: int) -> None:
        self.weights = weights
        # The same sum, but it conjugates, and autocast would take it to half precision.
        self._by_one_call = not (y.is_complex() or torch.is_autocast_enabled(y.device.type))
        columns = y.new_empty(y.numel(), num_slopes)
        self.k: Sequence[Tensor] = columns.unbind(1)
        self._made = [columns[:, :count] for count in weights.counts]

    def combine(self, row: int) -> Tensor:
        """Return the sum of the slopes, weighted; shape (n,).

        Parameters
        ----------
        row : int
            Which row of the weights. Slopes that it does not count may not have been made yet.
        """
        made, weights = self._made[row], self.weights.of_made[row]
        if self._by_one_call:
            total: Tensor = torch.linalg.vecdot(made, weights)
            return total
        return torch.sum(made * weights, dim=-1)

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def hold(self, i: int, slope: Tensor) -> None:
        """Take slope ``i``, which is alive anyway."""
        self.k[i].copy_(slope)

    def release(self) -> None:
        """Let go of what is held: nothing is."""

    def advance(self, y: Tensor, row: int) -> Tensor:
        """Return ``y`` plus the weighted sum; parameters as for `combine`."""
        return self.combine(row).add_(y)


class SlopeRows:
    """The slopes of one step one after the other, for sums in torch's own order.

    Its interface is that of `SlopeColumns`.
    """

    __slots__ = ("_firsts", "_orders", "k", "weights")

    def __init__(self, k: list[Tensor], weights: Weights, orders: Sequence[Order]) -> None:
        self.k = k
        self.weights = weights
        self._orders = orders
        rows = zip(weights.rows.unbind(), orders, strict=True)
        self._firsts = [first_weights(row, order) for row, order in rows]

    def combine(self, row: int) -> Tensor:
        """Return the sum of the slopes, weighted; shape (n,)."""
        order = self._orders[row]
        if not order:
            return torch.zeros_like(self.k[0])
        return self._sum(row, order)

    def put(self, i: int, slope: Tensor) -> None:
        """Write slope ``i``."""
        self.k[i].copy_(slope)

    def hold(self, i: int, slope: Tensor) -> None:
        """Take slope ``i``, which is alive anyway: no place of its own is needed."""
        self.k[i] = slope

    def release(self) -> None:
        """Let go of what is held."""
        self.k[:] = [self.weights.rows] * len(self.k)  # no slope: it has a place there

    def advance(self, y: Tensor, row: int) -> Tensor:
        """Return ``y`` plus the weighted sum."""
        return self._sum(row, self._orders[row]).add_(y)

    def _sum(self, row: int, order: Order) -> Tensor:
        return weighted_sum(self.k, self.weights.numbers[row], self._firsts[row], order)


class SlopeList:
    """The slopes of one step as they are, for sums that autograd or ``torch.func`` look into.

    Its interface is that of `SlopeColumns`; nothing is written to in place.
    """

    __slots__ = ("k", "weights")

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.k: list[Tensor] = [weights.table] * (weights.num_stages + 1)  # until there is a slope

    @property
    def has_first(self) -> bool:
        """Whether the first slope is there."""
        return self.k[0] is not self.weights.table

    def combine(self, row: int) -> Tensor:
        """Return the sum of the slopes, weighted; shape (n,)."""
        count = self.weights.counts[row]
        return torch.sum(
            torch.stack(self.k[:count], dim=-1) * self.weights.rows[row, :count], dim=-1
        )

    def put(self, i: int, slope: Tensor) -> None:
        """Take slope ``i``."""
        # Graphs are made for slopes whose numbers lie one after the other.
        self.k[i] = slope.to(self.weights.table.dtype).contiguous()

    def advance(self, y: Tensor, row: int) -> Tensor:
        """Return ``y`` plus the weighted sum."""
        return y + self.combine(row)


Slopes = SlopeColumns | SlopeRows | SlopeList


def make_slopes(y: Tensor, weights: Weights) -> Slopes:
    """Return a buffer for the slopes of steps from states like ``y``."""
    if is_transformed():
        return SlopeList(weights)
    return make_stage_slopes(y, weights, weights.num_stages + 1)


def make_stage_slopes(
    y: Tensor, weights: Weights, num_slopes: int, *, are_held: bool = False
) -> SlopeColumns | SlopeRows:
    """Return a place for so many slopes, the end slope last if it is to be one of them.

    Where they are to be held rather than put, it is made without memory if that is possible.
    """
    if weights.orders is None or y.numel() <= FEW_NUMBERS:
        return SlopeColumns(y, weights, num_slopes)
    places = [y] * num_slopes if are_held else list(y.new_empty(num_slopes, y.numel()).unbind())
    return SlopeRows(places, weights, weights.orders)
