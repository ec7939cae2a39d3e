"""Weighted sums of slopes, added in the order in which torch adds along a short last dimension.

torchdiffeq makes its sums by ``torch.sum(slopes * weights, dim=-1)`` over a matrix whose columns
are the slopes, and every bit of ours must be the same: where an error estimate is itself of the
size of rounding errors (dopri8 at tolerances that it meets with ease, or float32), other rounding
means other step sizes. On a CPU that sum runs a loop for each row, and is up to ten times slower
than to add one vector after another; so if these are added in the order of the loop, the result
comes sooner, to the bit.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

Order: TypeAlias = tuple[tuple[int, ...], ...]
"""Groups of terms: each group is added up, one after the other, and then the sums of the groups."""

VECTOR_LENGTHS = (4, 8, 16)
"""Numbers that a processor may hold in one register."""

ONE = {
    dtype: torch.ones((), dtype=dtype, device="cpu")
    for dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128)
}

NUM_TRIED = 1003
"""Numbers on which an order is tried; no multiple of a register's length."""


def weighted_sum(
    slopes: Sequence[Tensor],
    weights: Sequence[float],
    firsts: Sequence[Tensor | None],
    order: Order,
) -> Tensor:
    """Return ``Σ_i w_i k_i``, shape (n,), added in an order.

    Parameters
    ----------
    slopes : sequence of Tensor, shape (n,)
    weights : sequence of float
        One for each, rounded to the dtype of the slopes.
    firsts : sequence of Tensor, shape (), or None
        What `first_weights` makes of them.
    order : Order
        Of those that count: at least one.
    """
    one = ONE[slopes[0].dtype]
    total: Tensor | None = None
    for group, weight in zip(order, firsts, strict=True):
        first = group[0]
        if weight is None and total is not None:
            # Neither add(alpha=...) nor the weight as a factor: these do not round the product.
            total.addcmul_(slopes[first], one, value=weights[first])
            continue
        part = torch.mul(slopes[first], weights[first] if weight is None else weight)
        for i in group[1:]:
            part.addcmul_(slopes[i], one, value=weights[i])
        total = part if total is None else total.add_(part)
    if total is None:
        raise ValueError("a weighted sum needs a term: the order names none.")
    return total


def first_weights(weights: Tensor, order: Order) -> list[Tensor | None]:
    """Return, as views, the weights with which a product begins: it takes these sooner than floats.

    They are those of the first term of each group, None where it is added to what was there before.
    """
    return [
        weights[group[0]] if place == 0 or len(group) > 1 else None
        for place, group in enumerate(order)
    ]


@lru_cache(maxsize=64)
def summation_order(num_terms: int, dtype: torch.dtype, device: torch.device) -> Order | None:
    """Find in which order ``torch.sum(x * w, dim=-1)`` adds, by trying.

    It goes along a row in lanes, one next to the other: of the length of a register, or else four;
    what is left over goes before the sum of the lanes, or into the first.

    Parameters
    ----------
    num_terms : int
        Length of the last dimension.
    dtype : torch.dtype
    device : torch.device

    Returns
    -------
    Order or None
        None where the sum is to be left to torch, because no order gives the same bits, or the
        device is no CPU.
    """
    if device.type != "cpu" or dtype not in ONE:
        return None
    for order in _candidates(num_terms):
        if _agrees(order, num_terms, dtype):
            return order
    return None


def without(order: Order, skipped: frozenset[int]) -> Order:
    """Return an order without some terms, whose weights are zero."""
    groups = (tuple(i for i in group if i not in skipped) for group in order)
    return tuple(group for group in groups if group)


def _candidates(num_terms: int) -> list[Order]:
    found = []
    for length in VECTOR_LENGTHS:
        whole = num_terms // length * length
        rest = tuple(range(whole, num_terms))
        lanes = [tuple(range(lane, whole, length)) for lane in range(length) if whole]
        found.append((*((i,) for i in rest), *lanes))
        if length == VECTOR_LENGTHS[0]:
            first = (*(lanes[0] if lanes else ()), *rest)
            found.append((first, *lanes[1:]))
    return found


def _agrees(order: Order, num_terms: int, dtype: torch.dtype) -> bool:
    generator = torch.Generator("cpu").manual_seed(num_terms)
    matrix, weights = (
        torch.randn(shape, dtype=dtype, generator=generator, device="cpu")
        for shape in ((NUM_TRIED, num_terms), (num_terms,))
    )
    wanted = (matrix * weights).sum(-1)
    rows, firsts = matrix.T.contiguous().unbind(), first_weights(weights, order)
    return torch.equal(weighted_sum(rows, weights.tolist(), firsts, order), wanted)
