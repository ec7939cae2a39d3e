"""Butcher tableaus of Runge-Kutta methods: frozen data, checked when made.

A tableau describes one step of size ``h`` from ``(t_n, y_n)``::

    Y_i     = y_n + h Σ_j a_ij k_j              k_i = f(t_n + c_i h, Y_i)
    y_{n+1} = y_n + h Σ_i b_i k_i               error = h Σ_i (b_i - b_hat_i) k_i

where ``j < i`` for an *explicit* method. In an *implicit* one a slope may stand in its own argument
(``j <= i``: diagonally implicit) or in those of earlier slopes (fully implicit).

and an output inside the step, linear in the same slopes::

    y(t_n + θ h) = y_n + h Σ_i w_i(θ) k_i       0 <= θ <= 1

Outputs inside a step also use the *end slope* ``f(t_{n+1}, y_{n+1})``. A tableau whose last stage
is the end slope ("first same as last", FSAL) has it at no cost; for any other it is one evaluation
more, and the next step starts with it. Solvers need not tell the two apart: the *extended* vectors
(`weights`, `error_weights`, `nodes`, `dense_output`) run over `num_evaluations` own slopes and the
end slope, in this order, for every tableau. Implicit methods do not use the end slope: its entries
are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

Number = Fraction | float
"""A coefficient: an exact `~fractions.Fraction`, one with more digits than a float, or a float."""

COEFFICIENT_TOLERANCE = 1e-14
"""Largest defect of an identity between coefficients that is accepted.

Small tableaus meet their identities exactly. Those of Prince & Dormand (1981) and Tsitouras (2011)
were published rounded to 16 to 20 digits, with coefficients of up to 90. A wrong digit in any
place that matters in float64 exceeds the tolerance.
"""


def _total(numbers: Sequence[Number]) -> Number:
    """Sum, exact as long as every number is a `Fraction`."""
    total: Number = Fraction(0)
    for number in numbers:
        total += number
    return total


def _differ(left: Number, right: Number) -> bool:
    return not abs(float(left - right)) <= COEFFICIENT_TOLERANCE  # "not": a NaN differs too


@dataclass(frozen=True, kw_only=True, eq=False)  # so that hashing is by identity: fast
class ButcherTableau:
    """Coefficients of a Runge-Kutta method with `num_stages` stages.

    Parameters
    ----------
    name
        What users pass as ``method``.
    order
        Order of the weights ``b``.
    a
        Explicit: row ``i`` holds the ``i`` entries left of the diagonal; the first row is empty.
        Implicit: every row is full, one entry per stage.
    b
        Weights of the step, one per stage.
    c
        Nodes, one per stage; the first is 0 for an explicit method.
    reference
        Where the numbers were published.
    b_hat
        Weights of the embedded method, one per stage. ``None``: fixed steps only.
    dense_output
        One row per slope, `num_evaluations` own slopes and the end slope; ``dense_output[i][k]``
        is the coefficient of ``θ**(k+1)`` in ``w_i(θ)``. ``None``: no output inside a step.
    b_hat_start
        Weight, in the embedded method, of ``f(t_n, y_n)`` where that is no stage: 0 if it is one.
    error_filter
        ``γ`` of the filter ``(I - hγJ)⁻¹`` that keeps an error estimate bounded, however stiff the
        problem (Shampine & Baca, SIAM J. Sci. Stat. Comput. 5, 1984, DOI 10.1137/0905020;
        Hairer & Wanner II, (IV.8.20)). ``None``: the estimate is taken as it is.
    estimate_order
        Order in h of the error estimate, where the step size is to follow that rather than `order`.
    dense_order
        Order of `dense_output`, as far as it matters: 1, or 2 and more.

    Raises
    ------
    ValueError
        If lengths disagree or an identity between the coefficients fails by more than
        `COEFFICIENT_TOLERANCE`.

    Examples
    --------
    >>> from fractions import Fraction
    >>> half = Fraction(1, 2)
    >>> heun = ButcherTableau(
    ...     name="heun", order=2, a=((), (1,)), b=(half, half), c=(0, 1), reference="Heun (1900)"
    ... )
    >>> heun.num_stages, heun.is_fsal, heun.num_evaluations
    (2, False, 2)
    """

    name: str
    order: int
    a: tuple[tuple[Number, ...], ...]
    b: tuple[Number, ...]
    c: tuple[Number, ...]
    reference: str
    b_hat: tuple[Number, ...] | None = None
    dense_output: tuple[tuple[Number, ...], ...] | None = None
    b_hat_start: Number = Fraction(0)
    error_filter: Number | None = None
    estimate_order: int | None = None
    dense_order: int = 2

    def __post_init__(self) -> None:
        """Check lengths first, then the identities that every method satisfies."""
        self._check_lengths()
        self._check_stages()
        self._check_weights()
        self._check_dense_output()

    @property
    def num_stages(self) -> int:
        """Number of stages, s."""
        return len(self.b)

    @cached_property
    def is_explicit(self) -> bool:
        """Whether every slope is made of earlier ones."""
        return len(self.a[0]) == 0

    @cached_property
    def is_diagonally_implicit(self) -> bool:
        """Whether it is implicit, but the stages can be solved for one after the other."""
        return not self.is_explicit and not any(any(row[i + 1 :]) for i, row in enumerate(self.a))

    @cached_property
    def is_stiffly_accurate(self) -> bool:
        """Whether the last stage state is ``y_{n+1}``: the last row of ``a`` is ``b``."""
        # Then c[-1] is 1 too, for the row sums to the node and b to 1.
        last = self.a[-1]
        return (*last, *(Fraction(0),) * (self.num_stages - len(last))) == self.b

    @cached_property
    def is_fsal(self) -> bool:
        """Whether the last stage is evaluated at ``(t_{n+1}, y_{n+1})``: first same as last.

        False for an implicit tableau: its stages are solved for together with the step.
        """
        return self.is_explicit and self.is_stiffly_accurate

    @property
    def is_adaptive(self) -> bool:
        """Whether the tableau estimates its error."""
        return self.b_hat is not None

    @cached_property
    def num_evaluations(self) -> int:
        """Evaluations of ``f`` that an accepted step costs when the end slope is handed on.

        This is also the number of own slopes: the slopes of a step, the end slope left out.
        """
        return self.num_stages - 1 if self.is_fsal else self.num_stages

    @property
    def rows(self) -> tuple[tuple[Number, ...], ...]:
        """Rows of ``a`` for the own stages, length `num_evaluations`."""
        return self.a[: self.num_evaluations]

    @cached_property
    def nodes(self) -> tuple[Number, ...]:
        """``c`` of the own stages, then 1 for the end slope."""
        return (*self.c[: self.num_evaluations], Fraction(1))

    @property
    def weights(self) -> tuple[Number, ...]:
        """``b`` of the own stages, then 0 for the end slope."""
        return (*self.b[: self.num_evaluations], Fraction(0))

    @property
    def error_weights(self) -> tuple[Number, ...] | None:
        """``b - b_hat`` over the own stages and the end slope, or None for fixed steps only.

        `b_hat_start` is not among them.
        """
        if self.b_hat is None:
            return None
        differences = tuple(b - b_hat for b, b_hat in zip(self.b, self.b_hat, strict=True))
        return differences if self.is_fsal else (*differences, Fraction(0))

    def _check_lengths(self) -> None:
        if not self.b:
            raise self._error("b is empty", "one weight per stage", "give at least one stage")
        if self.order < 1:
            raise self._error(f"order is {self.order}", "1 or more", "give the order of b")
        for field, given in (("a", self.a), ("c", self.c), ("b_hat", self.b_hat)):
            if given is not None and len(given) != self.num_stages:
                raise self._error(
                    f"{field} has {len(given)} entries",
                    f"one per stage, as b: {self.num_stages}",
                    f"make the lengths of b and {field} agree",
                )

    def _check_stages(self) -> None:
        is_implicit = len(self.a[0]) == self.num_stages
        for i, (row, node) in enumerate(zip(self.a, self.c, strict=True)):
            if len(row) != (self.num_stages if is_implicit else i):
                raise self._error(
                    f"row {i} of a has {len(row)} entries",
                    f"{i}, those left of the diagonal, if the method is explicit; "
                    f"{self.num_stages} in every row, if it is implicit",
                    "leave out the zeros on and above the diagonal, or make every row full",
                )
            if _differ(_total(row), node):
                raise self._error(
                    f"row {i} of a sums to {float(_total(row))!r}",
                    f"c[{i}] = {float(node)!r}, to {COEFFICIENT_TOLERANCE}",
                    f"correct a digit of a[{i}] or of c[{i}]",
                )

    def _check_weights(self) -> None:
        b_hat = None if self.b_hat is None else (self.b_hat_start, *self.b_hat)
        for field, given in (("b", self.b), ("b_hat", b_hat)):
            if given is not None and _differ(_total(given), 1):
                raise self._error(
                    f"{field} sums to {float(_total(given))!r}",
                    f"1, to {COEFFICIENT_TOLERANCE}, b_hat_start included",
                    f"correct a digit of {field}",
                )
        if self.b_hat is None and (self.b_hat_start or self.error_filter is not None):
            raise self._error(
                "b_hat_start or error_filter is given without b_hat",
                "both only beside an embedded method",
                "give b_hat too, or leave them out",
            )
        if self.error_filter is not None and not self.error_filter > 0:
            raise self._error(
                f"error_filter is {float(self.error_filter)!r}",
                "a positive number, or None for no filter",
                "give the γ of (I - hγJ)⁻¹",
            )

    def _check_dense_output(self) -> None:
        if self.dense_output is None:
            return
        num_slopes = self.num_evaluations + 1
        if len(self.dense_output) != num_slopes:
            raise self._error(
                f"dense_output has {len(self.dense_output)} rows",
                f"{num_slopes}: one per own slope and one for the end slope",
                "add the missing row or leave out what is too much",
            )
        degree = len(self.dense_output[0])
        for i, (row, weight) in enumerate(zip(self.dense_output, self.weights, strict=True)):
            if len(row) != degree or degree == 0:
                raise self._error(
                    f"row {i} of dense_output has {len(row)} coefficients",
                    f"the same in every row, at least 1; row 0 has {degree}",
                    "fill up with zeros",
                )
            if _differ(_total(row), weight):
                raise self._error(
                    f"w_{i}(1), the sum of row {i} of dense_output, is {float(_total(row))!r}",
                    f"the weight of slope {i}, {float(weight)!r}, to {COEFFICIENT_TOLERANCE}",
                    "correct a digit: the output at the end of a step is the step",
                )
            if self.is_explicit and _differ(row[0], 1 if i == 0 else 0):
                raise self._error(
                    f"w_{i}'(0), the first coefficient of row {i}, is {float(row[0])!r}",
                    "1 for slope 0 and 0 for every other",
                    "correct a digit: the output leaves y_n with slope 0, f(t_n, y_n)",
                )

        if not self.is_explicit:
            self._check_implicit_dense_output(self.dense_output)

    def _check_implicit_dense_output(self, rows: tuple[tuple[Number, ...], ...]) -> None:
        if any(rows[-1]):
            raise self._error(
                f"the last row of dense_output, the end slope's, is {rows[-1]}",
                "zeros, as an implicit method has no end slope",
                "make the output of the stages' slopes alone",
            )
        for k, column in enumerate(zip(*rows, strict=True)):
            if _differ(_total(column), 1 if k == 0 else 0):
                raise self._error(
                    f"the coefficients of θ**{k + 1} sum to {float(_total(column))!r}",
                    "1 for θ and 0 for every other power: Σ_i w_i(θ) = θ",
                    "correct a digit: a constant slope is integrated exactly",
                )

    def _error(self, given: str, allowed: str, to_do: str) -> ValueError:
        return ValueError(f"tableau {self.name!r}: {given}; allowed: {allowed}; to do: {to_do}.")


def quartic_dense_output(
    weights: Sequence[Number], mid: Sequence[Number]
) -> tuple[tuple[Number, ...], ...]:
    """Quartic through both ends of a step, their slopes, and a value in its middle.

    The polynomial in ``θ`` of degree 4 that takes the values ``y_n``,
    ``y_n + h Σ_i mid_i k_i`` at 1/2 and ``y_{n+1}``, with slope 0 at the start and the end slope
    at the end (Shampine, Math. Comp. 46, 1986, DOI 10.1090/S0025-5718-1986-0815836-3).

    Parameters
    ----------
    weights
        Weights of the step over the own slopes and the end slope (last; its weight is 0).
    mid
        Weights of the value in the middle of the step, over the same slopes.

    Returns
    -------
    tuple
        Rows for `ButcherTableau.dense_output`, one per slope, with 4 coefficients each.

    Examples
    --------
    >>> quartic_dense_output((1, 0), (0.5, 0))
    ((1, -1.0, 3.0, -2.0), (0, 1, -3, 2))
    """
    end = len(weights) - 1
    rows = []
    for i, (weight, middle) in enumerate(zip(weights, mid, strict=True)):
        start_slope = 1 if i == 0 else 0
        end_slope = 1 if i == end else 0
        rows.append(
            (
                start_slope,
                16 * middle - 5 * weight - 4 * start_slope + end_slope,
                14 * weight - 32 * middle + 5 * start_slope - 3 * end_slope,
                16 * middle - 8 * weight - 2 * start_slope + 2 * end_slope,
            )
        )
    return tuple(rows)


def hermite_dense_output(weights: Sequence[Number]) -> tuple[tuple[Number, ...], ...]:
    """Cubic through both ends of a step with their slopes (Hairer, Norsett & Wanner I, II.6).

    Parameters
    ----------
    weights
        Weights of the step over the own slopes and the end slope (last; its weight is 0).

    Returns
    -------
    tuple
        Rows for `ButcherTableau.dense_output`, one per slope, with 3 coefficients each.

    Examples
    --------
    >>> hermite_dense_output((1, 0))
    ((1, 1, -1), (0, -1, 1))
    """
    end = len(weights) - 1
    rows = []
    for i, weight in enumerate(weights):
        start_slope = 1 if i == 0 else 0
        end_slope = 1 if i == end else 0
        rows.append(
            (
                start_slope,
                3 * weight - 2 * start_slope - end_slope,
                start_slope + end_slope - 2 * weight,
            )
        )
    return tuple(rows)


def collocation_dense_output(nodes: Sequence[Number]) -> tuple[tuple[Number, ...], ...]:
    """Integral of the polynomial through the slopes: ``w_i(θ) = ∫_0^θ L_i`` (HNW I, (II.7.15)).

    ``L_i`` are the Lagrange polynomials of the nodes. For a collocation method this is the
    collocation polynomial itself, whose order is the number of stages; for any other it is an
    output of the step only if ``b`` is the quadrature of its nodes, which the tableau checks.

    Parameters
    ----------
    nodes
        ``c`` of the own stages, all different.

    Returns
    -------
    tuple
        Rows for `ButcherTableau.dense_output`, one per stage and one of zeros for the end slope,
        with as many coefficients as there are nodes.

    Examples
    --------
    >>> collocation_dense_output((Fraction(0), Fraction(1)))  # the trapezoidal rule's
    ((Fraction(1, 1), Fraction(-1, 2)), (Fraction(0, 1), Fraction(1, 2)), (0, 0))
    """
    rows = []
    for i, node in enumerate(nodes):
        lagrange: list[Number] = [Fraction(1)]  # coefficients of 1, θ, θ², ...
        for other in (*nodes[:i], *nodes[i + 1 :]):
            times_theta, times_other = [0, *lagrange], [*(other * x for x in lagrange), 0]
            distance = node - other
            lagrange = [(x - y) / distance for x, y in zip(times_theta, times_other, strict=True)]
        rows.append(tuple(x / (k + 1) for k, x in enumerate(lagrange)))
    return (*rows, (0,) * len(nodes))
