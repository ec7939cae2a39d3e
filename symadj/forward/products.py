"""Matrix products of the solver's own, in the precision of their factors.

Autocast is for ``f``. It is in force around a whole solve, and would take the solver's sums of
slopes, and the linear algebra of implicit methods, to half precision too.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the product of two matrices, or of a vector and a matrix, or the other way round."""
    with _without_autocast(a):
        return a @ b


def sum_with_product(base: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return ``base + a @ b``, with ``a`` a matrix, and ``b`` one or a vector."""
    with _without_autocast(a):
        return torch.addmv(base, a, b) if b.dim() == 1 else torch.addmm(base, a, b)


def _without_autocast(like: Tensor) -> AbstractContextManager[None]:
    kind = like.device.type
    if not torch.is_autocast_enabled(kind):
        return _NOTHING
    return torch.autocast(kind, enabled=False)


_NOTHING = nullcontext()
