"""GMRES: linear systems of which only products with vectors are to be had.

Saad & Schultz, SIAM J. Sci. Stat. Comput. 7(3), 1986, doi:10.1137/0907058. The Krylov basis is made
orthogonal by Gram-Schmidt, twice (Giraud, Langou & Rozloznik, Comput. Math. Appl. 50, 2005,
doi:10.1016/j.camwa.2005.08.009): as good as Householder's reflections, and each pass is two
matrix-vector products, whereas the modified process goes vector by vector. What is small, the
Hessenberg matrix and its rotations, is made in Python from one copy to the host in each iteration,
which the question whether to go on needs anyway.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from symadj.forward.products import product

Operator: TypeAlias = Callable[[Tensor], Tensor]
"""A linear map of real vectors, shape (N,) to shape (N,)."""

RESTART = 40
"""Vectors of the Krylov basis that are kept at most, beside the one being made."""

MAX_PRODUCTS = 400
"""Products with the operator after which a system is given up."""


@dataclass(frozen=True, slots=True)
class KrylovSolution:
    """What `gmres` found.

    Attributes
    ----------
    solution : Tensor, shape (N,)
        The best there is, whether or not it is good enough.
    residual : float
        ``|b - M x| / |b|``, NaN where something was not finite.
    num_products : int
        Products with the operator.
    """

    solution: Tensor
    residual: float
    num_products: int


def gmres(
    operator: Operator,
    rhs: Tensor,
    *,
    rtol: float,
    restart: int = RESTART,
    max_products: int = MAX_PRODUCTS,
) -> KrylovSolution:
    """Solve ``M x = b``.

    Near rounding the residual that GMRES carries along falls below the true one; so at the end of
    each cycle the true one is taken, unless ``rtol`` is far from rounding. It also ends where a
    cycle gains no more than a factor of two: that is as far as it gets.

    Parameters
    ----------
    operator : callable
        ``x -> M x``.
    rhs : Tensor, shape (N,)
        ``b``, real.
    rtol : float
        Residual, relative to ``b``, that is wanted.
    restart : int
        Largest dimension of the Krylov space; this many vectors of length N are kept.
    max_products : int
        Products with the operator after which it is over, but for one that a last look takes.

    Returns
    -------
    KrylovSolution
        Its ``residual`` says how good it is: nothing is raised.
    """
    scale = rhs.norm().item()
    solution = torch.zeros_like(rhs)
    if scale == 0.0:
        return KrylovSolution(solution, 0.0, 0)
    trust_estimate = rtol > math.sqrt(torch.finfo(rhs.dtype).eps)
    remainder, size, num_products = rhs, scale, 0
    while num_products < max_products and math.isfinite(size) and size > rtol * scale:
        correction, estimate, num_columns = _cycle(
            operator,
            remainder,
            size,
            rtol * scale,
            min(restart, rhs.numel(), max_products - num_products),
        )
        num_products += num_columns
        previous, better = size, solution + correction
        if trust_estimate and estimate <= rtol * scale:
            solution, size = better, estimate
            break
        remainder = rhs - operator(better)
        num_products += 1
        size = remainder.norm().item()
        if size >= previous:
            size = previous
            break
        solution = better
        if size > 0.5 * previous:
            break
    return KrylovSolution(solution, size / scale, num_products)


def _cycle(
    operator: Operator, rhs: Tensor, size: float, tolerance: float, restart: int
) -> tuple[Tensor, float, int]:
    """Minimise ``|b - M x|`` over one Krylov space, grown until that is at most the tolerance.

    Returns
    -------
    solution : Tensor, shape (N,)
    residual : float
        As the recurrence has it.
    num_products : int
    """
    basis = rhs.new_empty(restart + 1, rhs.numel())
    basis[0] = rhs / size
    columns: list[list[float]] = []  # of R, the Hessenberg matrix made triangular
    rotations: list[tuple[float, float]] = []
    right = [size]  # the right-hand side, rotated along
    eps = torch.finfo(rhs.dtype).eps
    for j in range(restart):
        vector, known = operator(basis[j]), basis[: j + 1]
        first = product(known, vector)
        vector = vector - product(first, known)
        second = product(known, vector)
        vector = vector - product(second, known)
        norm = vector.norm()
        column: list[float] = torch.cat([first + second, norm.unsqueeze(0)]).tolist()
        length = math.hypot(*column)
        if not math.isfinite(length):
            return torch.full_like(rhs, math.nan), math.nan, j + 1
        for i, (cosine, sine) in enumerate(rotations):
            upper, lower = column[i], column[i + 1]
            column[i] = cosine * upper + sine * lower
            column[i + 1] = cosine * lower - sine * upper
        lower = column.pop()
        radius = math.hypot(column[j], lower)
        if radius <= eps * length:
            break  # M is singular on this space: nothing is gained by a further vector
        rotations.append((column[j] / radius, lower / radius))
        column[j] = radius
        columns.append(column)
        right[j:] = [rotations[j][0] * right[j], -rotations[j][1] * right[j]]
        if abs(right[-1]) <= tolerance or lower <= eps * length:
            break
        basis[j + 1] = vector / norm
    count = len(columns)
    coefficients = [0.0] * count
    for i in reversed(range(count)):
        known_part = sum(columns[k][i] * coefficients[k] for k in range(i + 1, count))
        coefficients[i] = (right[i] - known_part) / columns[i][i]
    weights = torch.tensor(coefficients, dtype=rhs.dtype, device=rhs.device)
    return product(weights, basis[:count]), abs(right[-1]), max(count, 1)
