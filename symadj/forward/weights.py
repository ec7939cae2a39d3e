"""A tableau's numbers on the state's device, times the step size, and the times of a step."""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from symadj.forward.summation import Order, summation_order, without
from symadj.forward.trajectory import Stretch
from symadj.forward.transforms import is_transformed, outside_transforms
from symadj.tableaus import ButcherTableau


@lru_cache(maxsize=64)
def _table(tableau: ButcherTableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers of a tableau as one matrix: rows of A, b, b - b_hat, w(1/2) of its interpolant."""
    width = tableau.num_evaluations + 1
    # Rounded, then subtracted, as torchdiffeq does: a last digit of these weights counts, because
    # the slopes nearly cancel in the estimate.
    error = [
        float(b) - float(b_hat) for b, b_hat in zip(tableau.b, tableau.b_hat or (), strict=False)
    ]
    middle = [
        sum(x * Fraction(1, 2 ** (power + 1)) for power, x in enumerate(row))
        for row in tableau.dense_output or ()
    ]
    rows = [*tableau.rows, tableau.weights, error, middle]
    padded = [[float(x) for x in row] + [0.0] * (width - len(row)) for row in rows]
    with outside_transforms():
        return torch.tensor(padded, dtype=torch.float64).to(device, dtype)


def _counts(tableau: ButcherTableau) -> tuple[int, ...]:
    """How many slopes each row of the table weighs.

    In the error estimate the end slope has a part only if the tableau is first same as last.
    """
    s = tableau.num_evaluations
    return (*range(s), s, s + 1 if tableau.is_fsal else s, s + 1)


@lru_cache(maxsize=64)
def _orders(
    tableau: ButcherTableau, dtype: torch.dtype, device: torch.device
) -> tuple[Order, ...] | None:
    """Return the order of the sum that each row of the table weighs; None if one has none."""
    orders = []
    for count, row in zip(_counts(tableau), _table(tableau, dtype, device).tolist(), strict=True):
        order = summation_order(count, dtype, device) if count else ()
        if order is None:
            return None
        orders.append(without(order, frozenset(i for i, x in enumerate(row) if x == 0)))
    return tuple(orders)


@lru_cache(maxsize=64)
def _numbers_of(tableau: ButcherTableau) -> tuple[tuple[float, ...], list[list[int]]]:
    """Return ``c_j``, and the stages whose states are made of each slope, from the last on."""
    s = tableau.num_evaluations
    uses = [[j for j in reversed(range(i + 1, s)) if tableau.rows[j][i] != 0] for i in range(s)]
    return tuple(float(c) for c in tableau.c), uses


@lru_cache(maxsize=64)
def _nodes(tableau: ButcherTableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    nodes = [float(c) for c in tableau.nodes]
    with outside_transforms():
        return torch.tensor(nodes, dtype=torch.float64).to(device, dtype)


@lru_cache(maxsize=64)
def _shift(
    tableau: ButcherTableau, dtype: torch.dtype, device: torch.device, first: float, end: float
) -> Tensor:
    """Return the direction in which each time is moved to the next number, 0 for none."""
    shifts = [end if c == 1 else 0.0 for c in tableau.nodes]
    with outside_transforms():
        return torch.tensor([first, *shifts[1:]], dtype=torch.float64).to(device, dtype)


class Weights:
    """``h a_ij``, ``h b_i`` and ``h (b_i - b̂_i)`` for one step size at a time.

    Parameters
    ----------
    tableau : ButcherTableau
    y : Tensor
        A state, for its dtype and device.

    Attributes
    ----------
    table : Tensor, shape (s + 3, s + 1)
        `rows` for ``h = 1``.
    num_stages : int
        Evaluations that belong to a step itself, ``s``: the end slope is not one of them.
    counts : tuple of int
        How many slopes each row weighs, from the first on.
    orders : tuple of Order, or None
        The order of the sum that each row weighs (see `summation_order`), where sums are to be made
        term by term.
    c_numbers : tuple of float
        ``c_j``.
    uses : list of list of int
        The stages whose states are made of each slope, from the last on.
    """

    def __init__(self, tableau: ButcherTableau, y: Tensor) -> None:
        self.num_stages = tableau.num_evaluations
        self.counts = _counts(tableau)
        self.orders: tuple[Order, ...] | None = None
        self.table = _table(tableau, y.dtype, y.device)
        if is_transformed():
            self.rows = self.table
            return
        self.orders = _orders(tableau, y.dtype, y.device)
        self._h: float | None = None
        self._numbers: list[list[float]] | None = None
        self.c_numbers, self.uses = _numbers_of(tableau)

    @cached_property
    def _after_one(self) -> Tensor:
        """`rows`, with a 1 before each; not made where graphs take the steps."""
        return self.table.new_ones(self.num_stages + 3, self.num_stages + 2)

    @cached_property
    def rows(self) -> Tensor:
        """``h a_ij``, one row for each stage; then ``h b_j``, ``h (b_j - b̂_j)``, ``h w_j(1/2)``.

        Of the shape (s + 3, s + 1).
        """
        return self._after_one[:, 1:]

    @cached_property
    def of_made(self) -> list[Tensor]:
        """The part of each row that is not zero, shape (counts[i],): a view."""
        width = self.num_stages + 2
        lengths = [x for count in self.counts for x in (count, width - count)]
        # After the 1 before the first row, each row and what is not of the next one's take turns.
        entries = self._after_one.view(-1)[1:]
        return list(torch.split(entries, [*lengths[:-1], lengths[-1] - 1])[::2])

    @cached_property
    def handed_on(self) -> list[Tensor]:
        """1, then ``h a_ij`` for ``j < i``, shape (i + 1, 1): the shares of ``ℓ_i``.

        They are those in the adjoint state and in the cotangents of the slopes before. Last, with
        ``h b_j``, come those of the adjoint state itself.
        """
        width = self.num_stages + 2
        lengths = [x for i in range(self.num_stages + 1) for x in (i + 1, width - i - 1)]
        rows = self._after_one[: self.num_stages + 1]
        return list(torch.split(rows.reshape(-1, 1), lengths)[::2])

    @property
    def numbers(self) -> list[list[float]]:
        """``rows`` as Python floats, where there are orders."""
        if self._numbers is None:
            self._numbers = [] if self.orders is None else self.rows.tolist()
        return self._numbers

    @property
    def b(self) -> int:
        """Which row holds ``h b_j``."""
        return self.num_stages

    @property
    def error(self) -> int:
        """Which row holds ``h (b_j - b̂_j)``."""
        return self.num_stages + 1

    @property
    def middle(self) -> int:
        """Which row holds ``h w_j(1/2)``."""
        return self.num_stages + 2

    def scale(self, h: float | Tensor) -> None:
        """Take another step size; a tensor, or any under a transform, leaves `rows` alone new."""
        if isinstance(h, Tensor) or is_transformed():
            self.rows = self.table * h
        elif h != self._h:
            self._h = h
            self._numbers = None
            torch.mul(self.table, h, out=self.rows)


DTYPES_OF_NUMBERS = (torch.float32, torch.float64)
"""Those in which a number of Python beside a tensor is rounded to the tensor's dtype."""


class Clock:
    """The times at which a step evaluates ``f``, formed as torchdiffeq forms them.

    Parameters
    ----------
    tableau : ButcherTableau
    y : Tensor
        A state, for its dtype and device: ``f`` sees times of its real dtype.
    time_dtype : torch.dtype or None
        Dtype in which ``t_n + c_i h`` is formed; None for that of the state.
    """

    def __init__(self, tableau: ButcherTableau, y: Tensor, time_dtype: torch.dtype | None) -> None:
        self._tableau = tableau
        self._dtype = y.dtype.to_real()
        self._nodes = _nodes(tableau, time_dtype or self._dtype, y.device)

    @cached_property
    def _is_end(self) -> Tensor:
        return self._nodes == 1.0

    def __call__(self, stretch: Stretch) -> tuple[Tensor, ...]:
        """Return the time of each slope of a step, the end slope's last, each of shape ()."""
        times = torch.mul(self._nodes, stretch.h).add_(stretch.t0)
        times.masked_fill_(self._is_end, stretch.t1)
        if times.dtype is not self._dtype:
            times = times.to(self._dtype)
        if stretch.first_side or stretch.end_side:
            direction = math.copysign(1.0, stretch.h)
            # nextafter(t, t) is t: where there is no shift the time stays as it is.
            sides = stretch.first_side * direction, stretch.end_side * direction
            shift = _shift(self._tableau, self._dtype, times.device, *sides)
            times = torch.nextafter(times, times + shift)
        return times.unbind()

    def rows(self, stretches: Sequence[Stretch]) -> tuple[Tensor, ...]:
        """Return the times of each of several steps, shape (s + 1,), to the same bits."""
        if self._nodes.device.type != "cpu" or self._nodes.dtype not in DTYPES_OF_NUMBERS:
            return tuple(torch.stack(self(stretch)) for stretch in stretches)
        columns = torch.tensor(stretches, dtype=self._nodes.dtype).T.unsqueeze(2)
        t0, t1, h, first_side, end_side = columns.unbind()  # each of shape (steps, 1)
        times = torch.where(self._is_end, t1, self._nodes * h + t0).to(self._dtype)
        if any(stretch.first_side or stretch.end_side for stretch in stretches):
            shifts = self._is_end * end_side
            shifts[:, :1] = first_side
            times = torch.nextafter(times, times + (shifts * h.sign()).to(self._dtype))
        return times.unbind()
