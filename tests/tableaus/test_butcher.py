"""What a tableau refuses, what it derives, and the two interpolants."""

import dataclasses
from fractions import Fraction

import pytest

from symadj.tableaus import (
    TABLEAUS,
    ButcherTableau,
    collocation_dense_output,
    hermite_dense_output,
    quartic_dense_output,
)

HALF = Fraction(1, 2)
ZERO, ONE = Fraction(0), Fraction(1)
THETAS = [Fraction(k, 7) for k in range(8)]

HEUN = {
    "name": "heun",
    "order": 2,
    "a": ((), (ONE,)),
    "b": (HALF, HALF),
    "b_hat": (ONE, ZERO),
    "c": (ZERO, ONE),
    "dense_output": ((ONE, -HALF), (ZERO, HALF), (ZERO, ZERO)),
    "reference": "Heun (1900)",
}


def heun(**changes) -> ButcherTableau:
    return ButcherTableau(**{**HEUN, **changes})


class TestValidation:
    def test_the_unchanged_tableau_is_accepted(self):
        assert heun().num_stages == 2

    @pytest.mark.parametrize(
        ("changes", "given"),
        [
            ({"b": (), "a": (), "c": (), "b_hat": None}, "b is empty"),
            ({"order": 0}, "order is 0"),
            ({"a": ((),)}, "a has 1 entries"),
            ({"c": (ZERO, HALF, ONE)}, "c has 3 entries"),
            ({"b_hat": (ONE,)}, "b_hat has 1 entries"),
            ({"a": ((), (ONE, ZERO))}, "row 1 of a has 2 entries"),
            ({"a": ((ZERO,), (ONE,))}, "row 0 of a has 1 entries"),
            ({"a": ((), (HALF,))}, "row 1 of a sums to 0.5"),
            ({"c": (HALF, ONE)}, "row 0 of a sums to 0.0"),
            ({"b": (HALF, ONE)}, "b sums to 1.5"),
            ({"b_hat": (ONE, ONE)}, "b_hat sums to 2.0"),
            ({"b": (float("nan"), HALF)}, "b sums to nan"),
            ({"dense_output": ((ONE, -HALF), (ZERO, HALF))}, "dense_output has 2 rows"),
            (
                {"dense_output": ((ONE, -HALF), (ZERO, HALF), (ZERO,))},
                "row 2 of dense_output has 1 coefficients",
            ),
            ({"dense_output": ((), (), ())}, "row 0 of dense_output has 0 coefficients"),
            (
                {"dense_output": ((ONE, -HALF), (ZERO, HALF), (ZERO, ONE))},
                r"w_2\(1\), the sum of row 2 of dense_output, is 1.0",
            ),
            (
                {"dense_output": ((HALF, ZERO), (ZERO, HALF), (ZERO, ZERO))},
                r"w_0'\(0\), the first coefficient of row 0, is 0.5",
            ),
            (
                {"dense_output": ((ONE, -HALF), (HALF, ZERO), (ZERO, ZERO))},
                r"w_1'\(0\), the first coefficient of row 1, is 0.5",
            ),
        ],
    )
    def test_refused(self, changes, given):
        with pytest.raises(ValueError, match=rf"^tableau 'heun': {given}; allowed: .+; to do: .+"):
            heun(**changes)

    @pytest.mark.parametrize(
        ("defect", "accepted"), [(2e-15, True), (-2e-15, True), (3e-14, False), (-3e-14, False)]
    )
    def test_rounded_numbers_are_accepted_and_wrong_digits_are_not(self, defect, accepted):
        b = (0.5, 0.5 + defect)
        if accepted:
            assert heun(b=b, dense_output=None).b == b
        else:
            with pytest.raises(ValueError, match="b sums to"):
                heun(b=b, dense_output=None)

    def test_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            heun().order = 3

    def test_one_wrong_digit_anywhere_in_dopri5_is_noticed(self):
        dopri5 = TABLEAUS["dopri5"]
        for i, row in enumerate(dopri5.a):
            for j, number in enumerate(row):
                wrong_row = (*row[:j], number + Fraction(1, 10**9), *row[j + 1 :])
                with pytest.raises(ValueError, match=f"row {i} of a sums to"):
                    dataclasses.replace(dopri5, a=(*dopri5.a[:i], wrong_row, *dopri5.a[i + 1 :]))


TRAPEZOID = {
    "name": "trapezoid",
    "order": 2,
    "a": ((ZERO, ZERO), (HALF, HALF)),
    "b": (HALF, HALF),
    "b_hat": (ONE, ZERO),
    "c": (ZERO, ONE),
    "dense_output": ((ONE, -HALF), (ZERO, HALF), (ZERO, ZERO)),
    "reference": "Crank & Nicolson (1947)",
}


def trapezoid(**changes) -> ButcherTableau:
    return ButcherTableau(**{**TRAPEZOID, **changes})


class TestImplicit:
    def test_the_unchanged_tableau_is_accepted(self):
        assert not trapezoid().is_explicit

    @pytest.mark.parametrize(
        ("changes", "given"),
        [
            ({"a": ((ZERO, ZERO), (HALF,))}, "row 1 of a has 1 entries"),
            ({"a": ((ZERO, ZERO), (HALF, HALF, ZERO))}, "row 1 of a has 3 entries"),
            ({"a": ((ZERO, HALF), (HALF, HALF))}, "row 0 of a sums to 0.5"),
            ({"b_hat_start": HALF}, "b_hat sums to 1.5"),
            ({"b_hat": None, "b_hat_start": HALF}, "b_hat_start or error_filter is given without"),
            ({"b_hat": None, "error_filter": HALF}, "b_hat_start or error_filter is given without"),
            ({"error_filter": -HALF}, "error_filter is -0.5"),
            ({"error_filter": float("nan")}, "error_filter is nan"),
            (
                {"dense_output": ((ONE, -HALF), (ZERO, HALF), (HALF, -HALF))},
                "the last row of dense_output, the end slope's, is ",
            ),
            (
                {"dense_output": ((ONE, -HALF), (HALF, ZERO), (ZERO, ZERO))},
                r"the coefficients of θ\*\*1 sum to 1.5",
            ),
            (
                {"dense_output": ((ONE, ZERO, -HALF), (ZERO, ONE, -HALF), (ZERO,) * 3)},
                r"the coefficients of θ\*\*2 sum to 1.0",
            ),
        ],
    )
    def test_refused(self, changes, given):
        with pytest.raises(
            ValueError, match=rf"^tableau 'trapezoid': {given}.*; allowed: .+; to do: .+"
        ):
            trapezoid(**changes)

    def test_end_slope_and_evaluations(self):
        tableau = trapezoid()
        # The last stage is at the end, but solved for: its slope is not handed on.
        assert tableau.is_stiffly_accurate
        assert not tableau.is_fsal
        assert tableau.num_evaluations == 2
        assert tableau.rows == tableau.a
        assert tableau.nodes == (0, 1, 1)
        assert tableau.weights == (HALF, HALF, 0)
        assert tableau.error_weights == (-HALF, HALF, 0)

    def test_the_start_s_slope_may_be_no_stage(self):
        tableau = trapezoid(b_hat=(ZERO, HALF), b_hat_start=HALF)
        assert tableau.error_weights == (HALF, 0, 0)

    @pytest.mark.parametrize(
        ("changes", "diagonally", "stiffly"),
        [
            ({}, True, True),
            ({"a": ((HALF, HALF), (HALF, HALF)), "c": (ONE, ONE)}, False, True),
            ({"a": ((ZERO, ZERO), (ONE, ZERO))}, True, False),
            ({"a": ((HALF, -HALF), (ZERO, ONE))}, False, False),
        ],
    )
    def test_kinds(self, changes, diagonally, stiffly):
        tableau = trapezoid(dense_output=None, **changes)
        assert not tableau.is_explicit
        assert tableau.is_diagonally_implicit is diagonally
        assert tableau.is_stiffly_accurate is stiffly

    def test_one_stage(self):
        implicit = trapezoid(
            a=((ONE,),), b=(ONE,), c=(ONE,), b_hat=None, dense_output=((ONE,), (ZERO,))
        )
        assert implicit.is_diagonally_implicit
        assert not implicit.is_explicit
        euler = trapezoid(a=((),), b=(ONE,), c=(ZERO,), b_hat=None, dense_output=None)
        assert euler.is_explicit
        assert not euler.is_diagonally_implicit
        assert not euler.is_stiffly_accurate

    def test_one_wrong_digit_anywhere_in_radau_is_noticed(self):
        radau = TABLEAUS["radauIIA5"]
        for i, row in enumerate(radau.a):
            for j, number in enumerate(row):
                wrong_row = (*row[:j], number + Fraction(1, 10**9), *row[j + 1 :])
                with pytest.raises(ValueError, match=f"row {i} of a sums to"):
                    dataclasses.replace(radau, a=(*radau.a[:i], wrong_row, *radau.a[i + 1 :]))


class TestDerived:
    def test_without_the_end_slope_it_is_added(self):
        tableau = heun()
        assert not tableau.is_fsal
        assert tableau.num_evaluations == 2
        assert tableau.rows == ((), (1,))
        assert tableau.nodes == (0, 1, 1)
        assert tableau.weights == (HALF, HALF, 0)
        assert tableau.error_weights == (-HALF, HALF, 0)

    def test_a_last_stage_that_is_the_end_slope_is_not_counted_twice(self):
        tableau = heun(
            a=((), (ONE,), (HALF, HALF)),
            b=(HALF, HALF, ZERO),
            b_hat=(HALF, ZERO, HALF),
            c=(ZERO, ONE, ONE),
        )
        assert tableau.is_fsal
        assert tableau.num_evaluations == 2
        assert tableau.rows == ((), (1,))
        assert tableau.nodes == (0, 1, 1)
        assert tableau.weights == (HALF, HALF, 0)
        assert tableau.error_weights == (0, HALF, -HALF)

    def test_fixed_steps_only(self):
        tableau = heun(b_hat=None)
        assert not tableau.is_adaptive
        assert tableau.error_weights is None
        assert heun().is_adaptive

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param(  # last row is b, but the last stage has a weight
                {"a": ((), (HALF,)), "b": (HALF, HALF), "c": (ZERO, HALF)}, id="weight"
            ),
            pytest.param(  # last stage at the end of the step, from another state
                {"a": ((), (HALF,), (ONE, ZERO)), "b": (ZERO, ONE, ZERO), "c": (ZERO, HALF, ONE)},
                id="row",
            ),
        ],
    )
    def test_not_first_same_as_last(self, changes):
        assert not heun(**changes, b_hat=None, dense_output=None).is_fsal


def polynomial(row, theta):
    return sum(r * theta ** (k + 1) for k, r in enumerate(row))


def slope(row, theta):
    return sum((k + 1) * r * theta**k for k, r in enumerate(row))


class TestCollocation:
    NODES = (Fraction(1, 5), HALF, Fraction(4, 5))

    def test_integrates_polynomials_through_the_slopes(self):
        rows = collocation_dense_output(self.NODES)
        for degree in range(3):
            for theta in THETAS:
                values = [polynomial(row, theta) for row in rows[:-1]]
                total = sum(v * c**degree for v, c in zip(values, self.NODES, strict=True))
                assert total == theta ** (degree + 1) / (degree + 1)

    def test_slopes_at_the_nodes_are_the_stages(self):
        rows = collocation_dense_output(self.NODES)
        for j, node in enumerate(self.NODES):
            assert [slope(row, node) for row in rows] == [int(i == j) for i in range(4)]

    def test_the_end_slope_has_no_part_in_it(self):
        assert collocation_dense_output(self.NODES)[-1] == (0, 0, 0)


class TestInterpolants:
    WEIGHTS = (Fraction(1, 6), Fraction(2, 3), Fraction(1, 6), ZERO)
    MID = (Fraction(5, 24), Fraction(1, 3), Fraction(-1, 24), ZERO)

    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param(hermite_dense_output(WEIGHTS), id="hermite"),
            pytest.param(quartic_dense_output(WEIGHTS, MID), id="quartic"),
        ],
    )
    def test_values_and_slopes_at_both_ends(self, rows):
        assert [polynomial(row, 0) for row in rows] == [0, 0, 0, 0]
        assert tuple(polynomial(row, 1) for row in rows) == self.WEIGHTS
        assert [slope(row, 0) for row in rows] == [1, 0, 0, 0]
        assert [slope(row, 1) for row in rows] == [0, 0, 0, 1]

    def test_quartic_value_in_the_middle(self):
        rows = quartic_dense_output(self.WEIGHTS, self.MID)
        assert tuple(polynomial(row, HALF) for row in rows) == self.MID
        assert {len(row) for row in rows} == {4}

    def test_hermite_is_the_cubic_in_lagrange_form(self):
        # The usual cubic basis, written down independently: y0, y1, h f0, h f1 with y0 = 0.
        rows = hermite_dense_output(self.WEIGHTS)
        for theta in THETAS:
            from_y1 = theta**2 * (3 - 2 * theta)
            from_f0 = theta * (1 - theta) ** 2
            from_f1 = theta**2 * (theta - 1)
            expected = [from_y1 * weight for weight in self.WEIGHTS]
            expected[0] += from_f0
            expected[-1] += from_f1
            assert [polynomial(row, theta) for row in rows] == expected

    def test_weights_and_mid_of_different_lengths_are_refused(self):
        with pytest.raises(ValueError, match="shorter"):
            quartic_dense_output(self.WEIGHTS, self.MID[:-1])
