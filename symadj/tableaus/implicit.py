"""The implicit Runge-Kutta methods that symadj offers, with their sources.

Names are those of torchdiffeq's development version. Irrational coefficients are rationals that
agree with them to 40 digits: identities and order conditions can be checked far beyond rounding,
and every float made from one is correctly rounded.

``trbdf2`` and ``radauIIA5`` estimate their error; the others are for fixed grids. Outputs inside a
step are linear in the stages' slopes. Where b is the quadrature of its nodes, which is so for all
but ``trbdf2``, they are the integral of the polynomial through the slopes: for a collocation method
(all but ``sdirk2`` and ``trbdf2``) the collocation polynomial, of order ``num_stages`` whatever the
order at the step's end.

Abbreviation in references: HW is Hairer & Wanner, Solving Ordinary Differential Equations II,
2nd edition, Springer 1996, DOI 10.1007/978-3-642-05221-7.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from symadj.tableaus.butcher import (
    ButcherTableau,
    collocation_dense_output,
    hermite_dense_output,
)

DIGITS = 40
"""Decimal places to which roots are taken."""


def _root(number: int, degree: int = 2) -> Fraction:
    """Root of an integer of at least 1, rounded down to `DIGITS` decimal places."""
    scaled = number * 10 ** (degree * DIGITS)
    low, high = 0, number * 10**DIGITS + 1  # the root of scaled is at least low, and below high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**degree <= scaled else (low, middle)
    return Fraction(low, 10**DIGITS)


_ONE, _HALF, _ZERO = Fraction(1), Fraction(1, 2), Fraction(0)
_SQRT2, _SQRT3, _SQRT6, _SQRT15 = _root(2), _root(3), _root(6), _root(15)

# --- fixed grids ---------------------------------------------------------------------------------

IMPLICIT_EULER = ButcherTableau(
    name="implicit_euler",
    order=1,
    a=((_ONE,),),
    b=(_ONE,),
    c=(_ONE,),
    dense_output=collocation_dense_output((_ONE,)),
    reference="HW IV.3, (3.1); Radau IIA with one stage",
)

IMPLICIT_MIDPOINT = ButcherTableau(
    name="implicit_midpoint",
    order=2,
    a=((_HALF,),),
    b=(_ONE,),
    c=(_HALF,),
    dense_output=collocation_dense_output((_HALF,)),
    reference="HW Table IV.5.1; the Gauss method with one stage",
)

TRAPEZOID = ButcherTableau(
    name="trapezoid",
    order=2,
    a=((_ZERO, _ZERO), (_HALF, _HALF)),
    b=(_HALF, _HALF),
    c=(_ZERO, _ONE),
    dense_output=collocation_dense_output((_ZERO, _ONE)),
    reference=(
        "Crank & Nicolson, Proc. Camb. Phil. Soc. 43 (1947) 50-67, DOI 10.1017/S0305004100023197; "
        "HW Table IV.5.7, Lobatto IIIA with two stages"
    ),
)

_GL4_C = (_HALF - _SQRT3 / 6, _HALF + _SQRT3 / 6)

GL4 = ButcherTableau(
    name="gl4",
    order=4,
    a=(
        (Fraction(1, 4), Fraction(1, 4) - _SQRT3 / 6),
        (Fraction(1, 4) + _SQRT3 / 6, Fraction(1, 4)),
    ),
    b=(_HALF, _HALF),
    c=_GL4_C,
    dense_output=collocation_dense_output(_GL4_C),
    reference=(
        "Hammer & Hollingsworth, MTAC 9 (1955) 92-96, DOI 10.1090/S0025-5718-1955-0072547-2; "
        "HW Table IV.5.1, the Gauss method with two stages"
    ),
)

_GL6_C = (_HALF - _SQRT15 / 10, _HALF, _HALF + _SQRT15 / 10)

GL6 = ButcherTableau(
    name="gl6",
    order=6,
    a=(
        (Fraction(5, 36), Fraction(2, 9) - _SQRT15 / 15, Fraction(5, 36) - _SQRT15 / 30),
        (Fraction(5, 36) + _SQRT15 / 24, Fraction(2, 9), Fraction(5, 36) - _SQRT15 / 24),
        (Fraction(5, 36) + _SQRT15 / 30, Fraction(2, 9) + _SQRT15 / 15, Fraction(5, 36)),
    ),
    b=(Fraction(5, 18), Fraction(4, 9), Fraction(5, 18)),
    c=_GL6_C,
    dense_output=collocation_dense_output(_GL6_C),
    reference=(
        "Butcher, Math. Comp. 18 (1964) 50-64, DOI 10.1090/S0025-5718-1964-0159424-9; "
        "HW Table IV.5.2, the Gauss method with three stages"
    ),
)

_SDIRK2_GAMMA = 1 - _SQRT2 / 2  # the smaller root of γ² - 2γ + 1/2, for order 2

# The output is of order 2: two slopes, and the two conditions Σ w_i = θ, Σ w_i c_i = θ²/2.
SDIRK2 = ButcherTableau(
    name="sdirk2",
    order=2,
    a=((_SDIRK2_GAMMA, _ZERO), (1 - _SDIRK2_GAMMA, _SDIRK2_GAMMA)),
    b=(1 - _SDIRK2_GAMMA, _SDIRK2_GAMMA),
    c=(_SDIRK2_GAMMA, _ONE),
    dense_output=collocation_dense_output((_SDIRK2_GAMMA, _ONE)),
    reference=(
        "Alexander, SIAM J. Numer. Anal. 14 (1977) 1006-1021, DOI 10.1137/0714068, Theorem 5: "
        "L-stable, two stages"
    ),
)

_RADAU3_C = (Fraction(1, 3), _ONE)

RADAU_IIA3 = ButcherTableau(
    name="radauIIA3",
    order=3,
    a=((Fraction(5, 12), Fraction(-1, 12)), (Fraction(3, 4), Fraction(1, 4))),
    b=(Fraction(3, 4), Fraction(1, 4)),
    c=_RADAU3_C,
    dense_output=collocation_dense_output(_RADAU3_C),
    reference="Ehle, Univ. of Waterloo, Dept. AACS, Report CSRR 2010 (1969); HW Table IV.5.5",
)

# --- embedded pairs ------------------------------------------------------------------------------

_TRBDF2_D = 1 - _SQRT2 / 2  # half of the published γ = 2 - √2
_TRBDF2_W = _SQRT2 / 4
_TRBDF2_B = (_TRBDF2_W, _TRBDF2_W, _TRBDF2_D)

# b_hat is of order 3. Its estimate is of the size of z where the step goes far beyond the time
# scale of a decaying component, and is filtered as Hosea & Shampine do (their Section 5).
# The first stage and the last are the slopes at the ends: the cubic Hermite polynomial needs no
# more. Its order is that of the step, 2.
TRBDF2 = ButcherTableau(
    name="trbdf2",
    order=2,
    a=((_ZERO, _ZERO, _ZERO), (_TRBDF2_D, _TRBDF2_D, _ZERO), _TRBDF2_B),
    b=_TRBDF2_B,
    b_hat=((1 - _TRBDF2_W) / 3, (3 * _TRBDF2_W + 1) / 3, _TRBDF2_D / 3),
    error_filter=_TRBDF2_D,
    estimate_order=3,
    c=(_ZERO, 2 * _TRBDF2_D, _ONE),
    dense_output=(*hermite_dense_output(_TRBDF2_B), (0, 0, 0)),
    reference=(
        "Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21-37, DOI 10.1016/0168-9274(95)00115-8; "
        "the method is Bank et al.'s, IEEE Trans. Electron Devices 32 (1985) 1992-2007, "
        "DOI 10.1109/T-ED.1985.22232"
    ),
)

_RADAU5_B = ((16 - _SQRT6) / 36, (16 + _SQRT6) / 36, Fraction(1, 9))
_RADAU5_C = ((4 - _SQRT6) / 10, (4 + _SQRT6) / 10, _ONE)
_RADAU5_DENSE = collocation_dense_output(_RADAU5_C)
_RADAU5_GAMMA = (6 + _root(81, 3) - _root(9, 3)) / 30  # A's real eigenvalue

# The embedded method is of order 3 and reads f(t_n, y_n), with weight γ. Its conditions
# Σ b_hat_i c_i^(k-1) = 1/k - γ [k = 1], k = 1, 2, 3, leave b_hat_i = b_i - γ L_i(0), L_i being the
# Lagrange polynomials of the nodes. So the estimate is hγ (u'(t_n) - f(t_n, y_n)): how far the
# collocation polynomial u is from solving the equation where it does not collocate.
RADAU_IIA5 = ButcherTableau(
    name="radauIIA5",
    order=5,
    a=(
        ((88 - 7 * _SQRT6) / 360, (296 - 169 * _SQRT6) / 1800, (-2 + 3 * _SQRT6) / 225),
        ((296 + 169 * _SQRT6) / 1800, (88 + 7 * _SQRT6) / 360, (-2 - 3 * _SQRT6) / 225),
        _RADAU5_B,
    ),
    b=_RADAU5_B,
    b_hat=tuple(
        b - _RADAU5_GAMMA * row[0] for b, row in zip(_RADAU5_B, _RADAU5_DENSE[:-1], strict=True)
    ),
    b_hat_start=_RADAU5_GAMMA,
    error_filter=_RADAU5_GAMMA,
    estimate_order=4,
    c=_RADAU5_C,
    dense_output=_RADAU5_DENSE,
    reference=(
        "Ehle, Univ. of Waterloo, Dept. AACS, Report CSRR 2010 (1969); HW Table IV.5.6, "
        "its error estimate (IV.8.17)-(IV.8.20)"
    ),
)

IMPLICIT_TABLEAUS: Mapping[str, ButcherTableau] = MappingProxyType(
    {
        tableau.name: tableau
        for tableau in (
            IMPLICIT_EULER,
            IMPLICIT_MIDPOINT,
            TRAPEZOID,
            GL4,
            GL6,
            SDIRK2,
            TRBDF2,
            RADAU_IIA3,
            RADAU_IIA5,
        )
    }
)
"""Every implicit tableau by name; read-only."""
