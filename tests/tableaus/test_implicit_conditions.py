"""The implicit methods: orders, simplifying assumptions, symplecticity and stability, from their
coefficients, which are rationals to 40 digits.
"""

import decimal
import math
from decimal import Decimal
from fractions import Fraction

import pytest

from symadj.tableaus import EXPLICIT_TABLEAUS, IMPLICIT_TABLEAUS, TABLEAUS, ButcherTableau
from tests.tableaus.conditions import (
    dense_weights,
    largest_defect,
    largest_dense_defect,
)
from tests.tableaus.rooted_trees import ElementaryWeights, density, rooted_trees

TOLERANCE = Fraction(1, 10**36)
"""Roots are known to 40 digits, and some are multiplied by numbers of size 100."""

GAUSS = ("implicit_midpoint", "gl4", "gl6")
RADAU = ("implicit_euler", "radauIIA3", "radauIIA5")

# Order of the output inside a step.
DENSE_ORDERS = {
    "implicit_euler": 1,
    "implicit_midpoint": 1,
    "trapezoid": 2,
    "gl4": 2,
    "gl6": 3,
    "sdirk2": 2,
    "trbdf2": 2,
    "radauIIA3": 2,
    "radauIIA5": 3,
}

# Order of the quadrature B(p), and of the stages C(q): largest p and q with
# Σ_i b_i c_i^(k-1) = 1/k, k <= p, and Σ_j a_ij c_j^(k-1) = c_i^k / k, k <= q.
ASSUMPTIONS = {
    "implicit_euler": (1, 1),
    "implicit_midpoint": (2, 1),
    "trapezoid": (2, 2),
    "gl4": (4, 2),
    "gl6": (6, 3),
    "sdirk2": (2, 1),
    "trbdf2": (2, 2),
    "radauIIA3": (3, 2),
    "radauIIA5": (5, 3),
}

# Whether stages can be solved for one by one, and whether the last is the step's end.
STRUCTURE = {
    "implicit_euler": (True, True),
    "implicit_midpoint": (True, False),
    "trapezoid": (True, True),
    "gl4": (False, False),
    "gl6": (False, False),
    "sdirk2": (True, True),
    "trbdf2": (True, True),
    "radauIIA3": (False, True),
    "radauIIA5": (False, True),
}


@pytest.fixture(params=IMPLICIT_TABLEAUS)
def tableau(request) -> ButcherTableau:
    return IMPLICIT_TABLEAUS[request.param]


def dot(weights, numbers):
    return sum((w * x for w, x in zip(weights, numbers, strict=True)), start=Fraction(0))


def quadrature_defect(weights, nodes, end, k):
    """``Σ w_i c_i^(k-1) - end^k / k``."""
    return abs(dot(weights, [c ** (k - 1) for c in nodes]) - end**k / k)


def stability(tableau, z):
    """``R(z) = 1 + z bᵀ (I - zA)⁻¹ 1`` (HW IV.3), by elimination in rationals."""
    s = tableau.num_stages
    rows = [
        [Fraction(int(i == j)) - z * tableau.a[i][j] for j in range(s)] + [Fraction(1)]
        for i in range(s)
    ]
    for i in range(s):
        for k in range(s):
            if k != i:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [x - factor * y for x, y in zip(rows[k], rows[i], strict=True)]
    return 1 + z * dot(tableau.b, [row[s] / row[i] for i, row in enumerate(rows)])


class TestOrder:
    def test_every_condition_up_to_the_order_holds(self, tableau):
        for n in range(1, tableau.order + 1):
            assert largest_defect(tableau, tableau.weights, n) <= TOLERANCE

    def test_a_condition_of_the_next_order_fails(self, tableau):
        assert largest_defect(tableau, tableau.weights, tableau.order + 1) > Fraction(1, 500)

    @pytest.mark.parametrize(("name", "embedded_order"), [("trbdf2", 3), ("radauIIA5", 3)])
    def test_embedded_order(self, name, embedded_order):
        """With f(t_n, y_n) as a stage before the others, whether or not it is used."""
        tableau = IMPLICIT_TABLEAUS[name]
        zero = Fraction(0)
        rows = [(zero,) * (tableau.num_stages + 1), *((zero, *row) for row in tableau.a)]
        phi = ElementaryWeights(rows)
        b_hat = (tableau.b_hat_start, *tableau.b_hat)
        defects = [
            max(abs(density(tree) * dot(b_hat, phi(tree)) - 1) for tree in rooted_trees(n))
            for n in range(1, embedded_order + 2)
        ]
        assert max(defects[:-1]) <= TOLERANCE
        assert defects[-1] > Fraction(1, 100)

    @pytest.mark.parametrize("name", ASSUMPTIONS)
    def test_simplifying_assumptions(self, name):
        tableau = IMPLICIT_TABLEAUS[name]
        quadrature, stages = ASSUMPTIONS[name]

        def stage_defect(k):
            return max(
                quadrature_defect(row, tableau.c, c, k)
                for row, c in zip(tableau.a, tableau.c, strict=True)
            )

        for k in range(1, quadrature + 1):
            assert quadrature_defect(tableau.b, tableau.c, 1, k) <= TOLERANCE
        assert quadrature_defect(tableau.b, tableau.c, 1, quadrature + 1) > Fraction(1, 3000)
        for k in range(1, stages + 1):
            assert stage_defect(k) <= TOLERANCE
        assert stage_defect(stages + 1) > Fraction(1, 1000)

    def test_diagonally_implicit_but_for_an_explicit_first_stage_trbdf2_has_one_diagonal(self):
        """So that one factored matrix could serve both stages, and the filter."""
        trbdf2 = IMPLICIT_TABLEAUS["trbdf2"]
        assert trbdf2.a[1][1] == trbdf2.a[2][2] == trbdf2.error_filter
        assert IMPLICIT_TABLEAUS["sdirk2"].a[0][0] == IMPLICIT_TABLEAUS["sdirk2"].a[1][1]


class TestDenseOutput:
    def test_order_for_every_theta(self, tableau):
        for n in range(1, DENSE_ORDERS[tableau.name] + 1):
            assert largest_dense_defect(tableau, n) <= TOLERANCE

    def test_a_condition_of_the_next_order_fails(self, tableau):
        assert largest_dense_defect(tableau, DENSE_ORDERS[tableau.name] + 1) > Fraction(1, 10)

    def test_ends_in_the_step_and_starts_in_nothing(self, tableau):
        at_end = dense_weights(tableau, Fraction(1))
        for given, weight in zip(at_end, tableau.weights, strict=True):
            assert abs(given - weight) <= TOLERANCE
        assert dense_weights(tableau, Fraction(0)) == [0] * (tableau.num_evaluations + 1)

    def test_does_without_an_end_slope(self, tableau):
        assert not any(tableau.dense_output[-1])

    @pytest.mark.parametrize("name", ["trapezoid", *GAUSS, *RADAU])
    def test_a_collocation_polynomial_passes_through_the_stage_states(self, name):
        tableau = IMPLICIT_TABLEAUS[name]
        for row, c in zip(tableau.a, tableau.c, strict=True):
            for a, w in zip((*row, 0), dense_weights(tableau, c), strict=True):
                assert abs(a - w) <= TOLERANCE


class TestGeometry:
    @pytest.mark.parametrize("name", GAUSS)
    def test_gauss_methods_are_symplectic(self, name):
        """``b_i a_ij + b_j a_ji = b_i b_j`` (Sanz-Serna, BIT 28, 1988, DOI 10.1007/BF01954907)."""
        tableau = IMPLICIT_TABLEAUS[name]
        a, b = tableau.a, tableau.b
        for i in range(tableau.num_stages):
            for j in range(tableau.num_stages):
                assert abs(b[i] * a[i][j] + b[j] * a[j][i] - b[i] * b[j]) <= TOLERANCE

    @pytest.mark.parametrize("name", sorted(set(IMPLICIT_TABLEAUS) - set(GAUSS)))
    def test_the_others_are_not(self, name):
        tableau = IMPLICIT_TABLEAUS[name]
        a, b = tableau.a, tableau.b
        stages = range(tableau.num_stages)
        assert any(
            abs(b[i] * a[i][j] + b[j] * a[j][i] - b[i] * b[j]) > Fraction(1, 100)
            for i in stages
            for j in stages
        )

    @pytest.mark.parametrize("name", ["trapezoid", *GAUSS])
    def test_symmetric(self, name):
        """``a_{s+1-i, s+1-j} + a_ij = b_j`` (HNW I, Theorem II.8.8)."""
        tableau = IMPLICIT_TABLEAUS[name]
        last = tableau.num_stages - 1
        for i, row in enumerate(tableau.a):
            for j, a in enumerate(row):
                assert abs(tableau.a[last - i][last - j] + a - tableau.b[j]) <= TOLERANCE


class TestStability:
    def test_of_the_order_of_the_exponential(self, tableau):
        """|R(z) - exp(z)| = O(z^(p+1))."""
        z = Fraction(1, 100)
        terms = [z**k / math.factorial(k) for k in range(12)]
        error = abs(stability(tableau, z) - sum(terms))
        assert error < z ** (tableau.order + 1)

    @pytest.mark.parametrize("name", [*RADAU, "sdirk2", "trbdf2"])
    def test_l_stable_at_infinity(self, name):
        assert abs(stability(IMPLICIT_TABLEAUS[name], Fraction(-(10**12)))) < Fraction(1, 10**11)

    @pytest.mark.parametrize("name", ["trapezoid", *GAUSS])
    def test_of_modulus_one_at_infinity(self, name):
        limit = abs(stability(IMPLICIT_TABLEAUS[name], Fraction(-(10**12))))
        assert abs(limit - 1) < Fraction(1, 10**10)

    def test_stable_on_the_negative_axis(self, tableau):
        for exponent in range(-3, 12):
            assert abs(stability(tableau, -(Fraction(10) ** exponent))) < 1


class TestErrorEstimate:
    def test_radau_s_filter_is_the_real_eigenvalue_of_a(self):
        """γ³ - (3/5) γ² + (3/20) γ - 1/60 = 0: A's characteristic polynomial (HW IV.8)."""
        gamma = IMPLICIT_TABLEAUS["radauIIA5"].error_filter
        defect = gamma**3 - Fraction(3, 5) * gamma**2 + Fraction(3, 20) * gamma - Fraction(1, 60)
        assert abs(defect) <= TOLERANCE

    def test_radau_s_weights_are_hairer_and_wanner_s(self):
        """Their e = γ/3 (-13 - 7√6, -13 + 7√6, -1) weighs the z_i = h Σ a_ij k_j (IV.8.18)."""
        tableau = IMPLICIT_TABLEAUS["radauIIA5"]
        gamma, root = float(tableau.b_hat_start), math.sqrt(6)
        e = [gamma / 3 * x for x in (-13 - 7 * root, -13 + 7 * root, -1)]
        for j, difference in enumerate(tableau.error_weights[:-1]):
            theirs = sum(x * float(row[j]) for x, row in zip(e, tableau.a, strict=True))
            assert float(difference) == pytest.approx(-theirs, rel=1e-14)

    def test_trbdf2_s_are_hosea_and_shampine_s(self):
        w, d = math.sqrt(2) / 4, 1 - math.sqrt(2) / 2
        wanted = [(1 - w) / 3, (3 * w + 1) / 3, d / 3]
        assert [float(x) for x in IMPLICIT_TABLEAUS["trbdf2"].b_hat] == pytest.approx(wanted)

    def test_who_has_one(self):
        adaptive = {name for name, tableau in IMPLICIT_TABLEAUS.items() if tableau.is_adaptive}
        assert adaptive == {"trbdf2", "radauIIA5"}


class TestStructure:
    def test_kinds(self, tableau):
        diagonal, stiffly_accurate = STRUCTURE[tableau.name]
        assert not tableau.is_explicit
        assert not tableau.is_fsal
        assert tableau.is_diagonally_implicit is diagonal
        assert tableau.is_stiffly_accurate is stiffly_accurate
        if stiffly_accurate:
            assert tableau.c[-1] == 1

    def test_extended_vectors_run_over_own_slopes_and_end_slope(self, tableau):
        s = tableau.num_stages
        assert tableau.num_evaluations == s
        assert tableau.rows == tableau.a
        assert tableau.nodes == (*tableau.c, 1)
        assert tableau.weights == (*tableau.b, 0)
        assert len(tableau.dense_output) == s + 1
        if tableau.is_adaptive:
            assert len(tableau.error_weights) == s + 1
            assert tableau.error_weights[-1] == 0
            total = sum(tableau.error_weights) - tableau.b_hat_start
            assert abs(total) <= TOLERANCE

    def test_every_float_is_correctly_rounded(self):
        """Against decimals with 50 digits. In floats, 1/2 - √3/6 is one off in the last place."""
        with decimal.localcontext(prec=50):
            root3, root6 = Decimal(3).sqrt(), Decimal(6).sqrt()
            gl4 = [float(Decimal("0.5") - root3 / 6), float(Decimal("0.5") + root3 / 6)]
            radau = [float((4 - root6) / 10), float((4 + root6) / 10), 1.0]
        assert [float(x) for x in IMPLICIT_TABLEAUS["gl4"].c] == gl4
        assert [float(x) for x in IMPLICIT_TABLEAUS["radauIIA5"].c] == radau
        assert gl4[0] != 0.5 - math.sqrt(3) / 6

    def test_names_and_references(self):
        assert all(tableau.name == name for name, tableau in IMPLICIT_TABLEAUS.items())
        assert all(tableau.reference for tableau in IMPLICIT_TABLEAUS.values())

    def test_all_are_among_the_tableaus(self):
        assert dict(TABLEAUS) == {**EXPLICIT_TABLEAUS, **IMPLICIT_TABLEAUS}
        assert all(tableau.is_explicit for tableau in EXPLICIT_TABLEAUS.values())
        assert not set(EXPLICIT_TABLEAUS) & set(IMPLICIT_TABLEAUS)
