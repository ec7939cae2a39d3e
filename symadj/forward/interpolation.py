"""Outputs inside a step.

An output is a polynomial in θ, its place in the step, and so it is linear in the slopes::

    y(t_n + θh) = y_n + h Σ_i w_i(θ) k_i

Going forward the polynomial is evaluated, as torchdiffeq does it, through the values and slopes at
the step's ends and the value in its middle, to the bit. Going backward the weights ``w_i(θ)`` are
what counts. Where torchdiffeq sets no example, the polynomial is made of the slopes alone, which
loses no digits by differences of states.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from symadj.forward.products import product
from symadj.forward.scalars import scalar
from symadj.forward.slopes import Slopes
from symadj.forward.transforms import outside_transforms
from symadj.forward.weights import Weights
from symadj.tableaus import ButcherTableau, hermite_dense_output

FEW_OUTPUTS = 4
"""In one step: up to so many, Python's own numbers are the faster way to their weights."""

Polynomial: TypeAlias = tuple[Tensor, ...]
"""Coefficients of 1, θ, θ², ..., each of shape (n,)."""


OF_QUARTIC = (3, 4, 5, 8, 11, 14, 16, 18, 32)
"""The numbers in the coefficients of a polynomial through five values and slopes."""


class Interpolant:
    """A polynomial in θ for the inside of each step.

    Parameters
    ----------
    coefficients : sequence of sequence of float, s + 1 rows
        Row ``i`` holds the coefficients of θ, θ², ... in ``w_i``; the last row is the end slope's.
    is_linear : bool
        Whether it is the straight line from ``y_n`` to ``y_{n+1}``; otherwise, if it uses the end
        slope, it is of degree 3 or 4, with the slopes ``k_0`` and the end slope at its ends.

    Attributes
    ----------
    uses_end_slope : bool
        Whether an output needs ``f`` at the end of its step.
    """

    def __init__(self, coefficients: Sequence[Sequence[float]], *, is_linear: bool) -> None:
        with outside_transforms():
            self._coefficients = torch.tensor(coefficients, dtype=torch.float64)
            self._powers = torch.arange(1, self._coefficients.shape[1] + 1, dtype=torch.float64)
        self.rows = tuple(tuple(row) for row in coefficients)
        self._is_linear = is_linear
        self.uses_end_slope = any(coefficients[-1])

    def weights(self, thetas: Sequence[float], h: float, like: Tensor) -> Tensor:
        """Return ``h w_i(θ)``, shape (len(thetas), s + 1), in dtype and on device of ``like``."""
        if len(thetas) <= FEW_OUTPUTS:
            rows = _few_weights(self.rows, tuple(thetas), h)
            return torch.tensor(rows, dtype=like.dtype.to_real()).to(like.device, like.dtype)
        theta = torch.tensor([[theta] for theta in thetas], dtype=torch.float64)
        weights = theta**self._powers @ self._coefficients.T
        return weights.mul_(h).to(like.device, like.dtype)

    def values(self, y0: Tensor, slopes: Slopes, thetas: Sequence[float], h: float) -> Tensor:
        """Return the values inside a step by their weights, shape (len(thetas), n).

        They are those of `polynomial` but for rounding, and take a quarter of the time.
        """
        count = len(slopes.k) if self.uses_end_slope else len(slopes.k) - 1
        weights = self.weights(thetas, h, y0)[:, :count]
        return y0 + product(weights, torch.stack(list(slopes.k[:count])))

    def weights_at(self, theta: Tensor) -> Tensor:
        """Return ``w_i(θ)``, shape (s + 1,), differentiable with respect to ``theta``, shape ()."""
        powers = theta.double() ** self._powers.to(theta.device)
        return self._coefficients.to(theta.device) @ powers

    def from_slopes(self, y0: Tensor, slopes: Slopes, h: float) -> Polynomial:
        """Return the polynomial of a step by its weights; parameters as for `polynomial`."""
        count = len(slopes.k) if self.uses_end_slope else len(slopes.k) - 1
        weights = self._coefficients[:count].T.mul(h).to(y0.device, y0.dtype)
        return (y0, *product(weights, torch.stack(list(slopes.k[:count]))).unbind())

    def polynomial(
        self, y0: Tensor, y1: Tensor, slopes: Slopes, weights: Weights, h: float
    ) -> Polynomial:
        """Return the coefficients of 1, θ, θ², ... for one step, each of shape (n,).

        The sums of the quartic are torchdiffeq's, term by term (Shampine,
        Mathematics of Computation 46, 1986, doi:10.1090/S0025-5718-1986-0815836-3).
        """
        if self._is_linear:
            return y0, y1 - y0
        if not self.uses_end_slope:
            return self.from_slopes(y0, slopes, h)
        f0, f1 = slopes.k[0], slopes.k[-1]
        if self._coefficients.shape[1] == 3:
            # The ends alone determine a cubic, with less cancellation than by way of the middle.
            rise = y1 - y0
            return y0, h * f0, 3 * rise - h * (2 * f0 + f1), h * (f0 + f1) - 2 * rise
        middle = slopes.combine(weights.middle).add_(y0)
        n3, n4, n5, n8, n11, n14, n16, n18, n32 = (scalar(n, y0.dtype) for n in OF_QUARTIC)
        return (
            y0,
            h * f0,
            h * (f1 - n4 * f0) - n11 * y0 - n5 * y1 + n16 * middle,
            h * (n5 * f0 - n3 * f1) + n18 * y0 + n14 * y1 - n32 * middle,
            2 * h * (f1 - f0) - n8 * (y1 + y0) + n16 * middle,
        )


def evaluate(polynomial: Polynomial, thetas: Sequence[float]) -> Tensor:
    """Return the values of a polynomial, shape (len(thetas), n)."""
    constant, first, *others = polynomial
    theta = power = _column(thetas, constant)
    value = constant + theta * first
    for coefficient in others:
        power = power * theta
        value += power * coefficient
    return value


def differentiate(polynomial: Polynomial, thetas: Sequence[float], h: float) -> Tensor:
    """Return the values of a polynomial's derivative by time, shape (len(thetas), n)."""
    theta = _column(thetas, polynomial[0])
    value, power = torch.zeros_like(polynomial[0]), torch.ones_like(theta)
    for degree, coefficient in enumerate(polynomial[1:], start=1):
        value = value + degree * power * coefficient
        power = power * theta
    return value / h


@lru_cache(maxsize=64)
def _few_weights(
    coefficients: tuple[tuple[float, ...], ...], thetas: tuple[float, ...], h: float
) -> list[list[float]]:
    """Return ``h w_i(θ)`` for each θ; a backward pass asks again for those of its solve."""
    degrees = range(1, len(coefficients[0]) + 1)
    powers = [[theta**power for power in degrees] for theta in thetas]
    return [[h * _dot(row, each) for row in coefficients] for each in powers]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _column(thetas: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor([[theta] for theta in thetas], dtype=like.dtype, device=like.device)


@lru_cache(maxsize=64)
def linear(tableau: ButcherTableau) -> Interpolant:
    """Straight line from ``y_n`` to ``y_{n+1}``: torchdiffeq's default on a fixed grid."""
    return Interpolant([[float(x)] for x in tableau.weights], is_linear=True)


@lru_cache(maxsize=64)
def accurate(tableau: ButcherTableau) -> Interpolant:
    """The tableau's own interpolant, or the cubic of Hermite where that is of a low order.

    It is for events, and for output at any time. There torchdiffeq's interpolant of bosh3, which is
    good to first order only, would be far off.
    """
    if tableau.dense_order > 1:
        return dense(tableau)
    rows = hermite_dense_output(tableau.weights)
    return Interpolant([[float(x) for x in row] for row in rows], is_linear=False)


@lru_cache(maxsize=64)
def dense(tableau: ButcherTableau) -> Interpolant:
    """The tableau's own interpolant.

    Raises
    ------
    ValueError
        If the tableau has none.
    """
    if tableau.dense_output is None:
        raise ValueError(f"tableau {tableau.name!r} has no dense output: give it dense_output.")
    return Interpolant([[float(x) for x in row] for row in tableau.dense_output], is_linear=False)
