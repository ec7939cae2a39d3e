"""What the compiler makes loops of, for the CPU, where a call of a library takes longer.

A product of 20 x 2 by 2 x 50 takes the processor less time than it takes to call the library for
it. Written as a sum of products it becomes a loop among others, and a whole step one kernel. The
hyperbolic tangent of the library is exact to half a unit in the last place, and takes three times
as long as a quotient of polynomials that is good to three; in a small step it is most of the time.
"""

from typing import Any

import torch
from torch import Tensor

MOST_PRODUCTS = 16_384
"""Multiplications up to which a matrix product is written out."""

SHORT = 8
"""Columns below which the inner loop is over what is summed instead."""


TANH_ENDS = 9.0
"""Beyond, the hyperbolic tangent is 1 in single precision."""

TANH_NUMERATOR = (0.999999976, 0.133814606, 3.49607999e-3, 2.06158456e-5, 1.3360939e-8)
TANH_DENOMINATOR = (1.0, 0.467147759, 2.58789216e-2, 3.28638596e-4, 7.77981117e-7)
"""Coefficients of powers of x^2 in tanh(x) / x: a fit of the least relative error, 2.4e-8, by
reweighted least squares."""


def is_small(a: Tensor, b: Tensor) -> bool:
    """Whether the product of two matrices is to be written out."""
    if a.device.type != "cpu" or a.dtype not in (torch.float32, torch.float64):
        return False
    sizes = (*a.shape, b.shape[1])
    return (
        all(isinstance(size, int) for size in sizes)
        and a.shape[0] * a.shape[1] * b.shape[1] <= MOST_PRODUCTS
    )


def small_mm(a: Tensor, b: Tensor) -> Any:
    """Multiply two matrices: the decomposition of ``aten.mm``."""
    if not is_small(a, b):
        return NotImplemented
    return _written_out(a, b)


def small_addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    """Multiply two matrices and add: the decomposition of ``aten.addmm``."""
    if not is_small(a, b) or beta != 1 or alpha != 1:
        return NotImplemented
    return _written_out(a, b) + bias


def _written_out(a: Tensor, b: Tensor) -> Tensor:
    if b.shape[1] < SHORT <= a.shape[0] and not a.is_contiguous():
        # The other way round the inner loop is long, and what is summed lies in memory already.
        return _written_out(b.t(), a.t()).t()
    if b.shape[1] < SHORT:
        return (_in_order(a).unsqueeze(1) * _in_order(b.t()).unsqueeze(0)).sum(2)
    return (_in_order(a).unsqueeze(2) * _in_order(b).unsqueeze(0)).sum(1)


def _in_order(x: Tensor) -> Tensor:
    """Return a matrix that lies in memory row by row.

    Loops over strides take no vectors; and what is not in memory is computed again for each column
    of a product.
    """
    ordered: Tensor = torch.ops.prims.inductor_force_stride_order.default(x, (x.shape[1], 1))
    return ordered


def tanh(x: Tensor) -> Any:
    """Hyperbolic tangent: the decomposition of ``aten.tanh``, in single precision.

    Its relative error is below 3 units of 2^-23.
    """
    if x.device.type != "cpu" or x.dtype is not torch.float32:
        return NotImplemented
    inside = torch.clamp(x, -TANH_ENDS, TANH_ENDS)
    square = inside * inside
    quotient = inside * _polynomial(TANH_NUMERATOR, square) / _polynomial(TANH_DENOMINATOR, square)
    return torch.clamp(quotient, -1.0, 1.0)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    *others, last = coefficients
    value = torch.full_like(x, last)
    for coefficient in reversed(others):
        value = value * x + coefficient
    return value
