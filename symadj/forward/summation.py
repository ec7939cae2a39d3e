"""The order in which torch adds along a short last dimension, so that a faster sum can follow it.

On a CPU, torch's sum over a short last dimension runs a loop for each row. Its sum over the *first*
dimension is up to ten times as fast, and plainly adds row after row; so if the rows are put into
the order in which the slow sum adds, the fast one returns the same bits.
"""

from functools import lru_cache

import torch

MAX_TERMS = 7
"""Beyond this torch adds partial sums, which no order of the rows can follow."""

ALIGNMENT = 64
"""Row lengths must be multiples of this: torch adds what is left over of a row in another order."""


@lru_cache(maxsize=64)
def summation_order(
    num_terms: int, dtype: torch.dtype, device: torch.device
) -> tuple[int, ...] | None:
    """Find in which order ``torch.sum(x, dim=-1)`` adds, by trying.

    Torch adds four lanes, and what is left over into the first of them or before them, as its
    vector width has it; fewer than four terms it adds in their own order. So one order of all the
    terms serves every sum of the first few, the others having weight zero.

    Parameters
    ----------
    num_terms : int
        Length of the last dimension.
    dtype : torch.dtype
    device : torch.device

    Returns
    -------
    tuple of int, or None
        An order of ``range(num_terms)``; None where the sums are to be left to torch, because none
        gives the same bits, or the device is no CPU.
    """
    if device.type != "cpu" or num_terms > MAX_TERMS:
        return None
    rest = range(4, num_terms)
    for order in ((0, *rest, 1, 2, 3), (*rest, 0, 1, 2, 3)):
        candidate = tuple(i for i in order if i < num_terms)
        if all(_agrees(candidate, count, dtype) for count in range(1, num_terms + 1)):
            return candidate
    return None


def _agrees(order: tuple[int, ...], count: int, dtype: torch.dtype) -> bool:
    generator = torch.Generator().manual_seed(count)
    terms = torch.zeros(16 * ALIGNMENT, len(order), dtype=dtype)
    terms[:, :count] = torch.randn(len(terms), count, dtype=dtype, generator=generator)
    wanted = terms[:, :count].sum(-1)
    return torch.equal(terms[:, order].T.contiguous().sum(0), wanted)
