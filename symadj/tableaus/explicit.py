"""The explicit Runge-Kutta methods that symadj offers, as exact rationals with their sources.

Names and numbers are torchdiffeq's, where torchdiffeq has the method, so that the same steps are
taken; ``euler`` to ``rk4_classic`` are for fixed grids. Two differences are meant:

- ``adaptive_heun`` and ``fehlberg2`` are not FSAL. torchdiffeq hands their *last stage's* slope to
  the next step nevertheless, an error of order h² in it; symadj evaluates ``f`` at ``y_{n+1}``, so
  that every step is the tableau's. So the steps of these two differ from torchdiffeq's.
- They and the methods for fixed grids interpolate with the cubic Hermite polynomial, through the
  slope at ``y_{n+1}``.

Abbreviation in references: HNW is Hairer, Norsett & Wanner, Solving Ordinary Differential
Equations I, 2nd edition, Springer 1993, DOI 10.1007/978-3-540-78862-1.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from symadj.tableaus.butcher import ButcherTableau, hermite_dense_output, quartic_dense_output


def _exact(text: str) -> tuple[Fraction, ...]:
    """Numbers as they are printed ("1/5", "0", "0.161"), separated by white space, read exactly."""
    return tuple(Fraction(number) for number in text.split())


def _triangle(*rows: str) -> tuple[tuple[Fraction, ...], ...]:
    """Rows of ``a`` below the diagonal; the empty first row is added."""
    return ((), *(_exact(row) for row in rows))


_END_SLOPE = (Fraction(0),)  # its weight, for tableaus whose stages do not include it

# --- fixed grids ---------------------------------------------------------------------------------

EULER = ButcherTableau(
    name="euler",
    order=1,
    a=_triangle(),
    b=_exact("1"),
    c=_exact("0"),
    dense_output=hermite_dense_output(_exact("1") + _END_SLOPE),
    reference="Euler, Institutionum calculi integralis I (1768), caput VII; HNW I.7",
)

MIDPOINT = ButcherTableau(
    name="midpoint",
    order=2,
    a=_triangle("1/2"),
    b=_exact("0 1"),
    c=_exact("0 1/2"),
    dense_output=hermite_dense_output(_exact("0 1") + _END_SLOPE),
    reference="Runge, Math. Ann. 46 (1895) 167-178, DOI 10.1007/BF01446807; HNW II.1",
)

HEUN2 = ButcherTableau(
    name="heun2",
    order=2,
    a=_triangle("1"),
    b=_exact("1/2 1/2"),
    c=_exact("0 1"),
    dense_output=hermite_dense_output(_exact("1/2 1/2") + _END_SLOPE),
    reference="Heun, Z. Math. Phys. 45 (1900) 23-38; the trapezoidal rule made explicit",
)

HEUN3 = ButcherTableau(
    name="heun3",
    order=3,
    a=_triangle("1/3", "0 2/3"),
    b=_exact("1/4 0 3/4"),
    c=_exact("0 1/3 2/3"),
    dense_output=hermite_dense_output(_exact("1/4 0 3/4") + _END_SLOPE),
    reference="Heun, Z. Math. Phys. 45 (1900) 23-38; HNW Table II.1.1",
)

# torchdiffeq's "rk4" is this method, not the classical one.
RK4 = ButcherTableau(
    name="rk4",
    order=4,
    a=_triangle("1/3", "-1/3 1", "1 -1 1"),
    b=_exact("1/8 3/8 3/8 1/8"),
    c=_exact("0 1/3 2/3 1"),
    dense_output=hermite_dense_output(_exact("1/8 3/8 3/8 1/8") + _END_SLOPE),
    reference="Kutta, Z. Math. Phys. 46 (1901) 435-453; HNW Table II.1.2, 3/8-rule",
)

RK4_CLASSIC = ButcherTableau(
    name="rk4_classic",
    order=4,
    a=_triangle("1/2", "0 1/2", "0 0 1"),
    b=_exact("1/6 1/3 1/3 1/6"),
    c=_exact("0 1/2 1/2 1"),
    dense_output=hermite_dense_output(_exact("1/6 1/3 1/3 1/6") + _END_SLOPE),
    reference='Kutta, Z. Math. Phys. 46 (1901) 435-453; HNW Table II.1.2, "the" method',
)

# --- embedded pairs ------------------------------------------------------------------------------

# b_hat = (0, 1) is of order 1 like (1, 0), and gives the same error but for its sign.
ADAPTIVE_HEUN = ButcherTableau(
    name="adaptive_heun",
    order=2,
    a=_triangle("1"),
    b=_exact("1/2 1/2"),
    b_hat=_exact("0 1"),
    c=_exact("0 1"),
    dense_output=hermite_dense_output(_exact("1/2 1/2") + _END_SLOPE),
    reference="Heun, Z. Math. Phys. 45 (1900) 23-38; the embedded weights are torchdiffeq 0.2.5's",
)

FEHLBERG2 = ButcherTableau(
    name="fehlberg2",
    order=2,
    a=_triangle("1/2", "1/256 255/256"),
    b=_exact("1/512 255/256 1/512"),
    b_hat=_exact("1/256 255/256 0"),
    c=_exact("0 1/2 1"),
    dense_output=hermite_dense_output(_exact("1/512 255/256 1/512") + _END_SLOPE),
    reference=(
        "Fehlberg, NASA TR R-315 (1969), RK1(2); Computing 6 (1970) 61-71, DOI 10.1007/BF02241732"
    ),
)

BOSH3 = ButcherTableau(
    name="bosh3",
    order=3,
    a=_triangle("1/2", "0 3/4", "2/9 1/3 4/9"),
    b=_exact("2/9 1/3 4/9 0"),
    b_hat=_exact("7/24 1/4 1/3 1/8"),
    c=_exact("0 1/2 3/4 1"),
    # The middle of the step is stage 1's state, as in torchdiffeq. It is of order 1 only, and so is
    # the quartic, whereas the cubic would be of order 3.
    dense_output=quartic_dense_output(_exact("2/9 1/3 4/9 0"), _exact("0 1/2 0 0")),
    dense_order=1,
    reference=(
        "Bogacki & Shampine, Appl. Math. Lett. 2(4) (1989) 321-325, "
        "DOI 10.1016/0893-9659(89)90079-7; the middle of the step is torchdiffeq 0.2.5's"
    ),
)

DOPRI5 = ButcherTableau(
    name="dopri5",
    order=5,
    a=_triangle(
        "1/5",
        "3/40 9/40",
        "44/45 -56/15 32/9",
        "19372/6561 -25360/2187 64448/6561 -212/729",
        "9017/3168 -355/33 46732/5247 49/176 -5103/18656",
        "35/384 0 500/1113 125/192 -2187/6784 11/84",
    ),
    b=_exact("35/384 0 500/1113 125/192 -2187/6784 11/84 0"),
    b_hat=_exact("1951/21600 0 22642/50085 451/720 -12231/42400 649/6300 1/60"),
    c=_exact("0 1/5 3/10 4/5 8/9 1 1"),
    dense_output=quartic_dense_output(
        _exact("35/384 0 500/1113 125/192 -2187/6784 11/84 0"),
        _exact(
            "6025192743/60171106304 0 51252292925/130801643196 -2691868925/90256659456 "
            "187940372067/3189068634112 -1776094331/39487288512 11237099/470086768"
        ),
    ),
    reference=(
        "Dormand & Prince, J. Comput. Appl. Math. 6 (1980) 19-26, "
        "DOI 10.1016/0771-050X(80)90013-3, RK5(4)7M: a, b, c; "
        "Shampine, Math. Comp. 46 (1986) 135-150, DOI 10.1090/S0025-5718-1986-0815836-3: "
        "b_hat and the middle of the step"
    ),
)

# To 20 digits, the interpolant to 18: it was published in factors, multiplied out here. Tsitouras
# prints b - b_hat for six of the slopes and b_hat itself, 1/66, for the end slope.
TSIT5 = ButcherTableau(
    name="tsit5",
    order=5,
    a=_triangle(
        "0.161",
        "-0.0084806554923569885444 0.33548065549235698854",
        "2.8971530571054934321 -6.3594484899750748431 4.3622954328695814110",
        "5.3258648284392566044 -11.748883564062827878 7.4955393428898362083 "
        "-0.092495066361755249257",
        "5.8614554429464200287 -12.920969317847109292 8.1593678985761586432 "
        "-0.071584973281400997225 -0.028269050394068382909",
        "0.096460766818065229518 0.01 0.47988965041449957478 1.3790085741037418932 "
        "-3.2900695154360806799 2.3247105240997739824",
    ),
    b=_exact(
        "0.096460766818065229518 0.01 0.47988965041449957478 1.3790085741037418932 "
        "-3.2900695154360806799 2.3247105240997739824 0"
    ),
    b_hat=_exact(
        "0.094680755765839458075 0.0091835655403432530968 0.48777052842476157079 "
        "1.2342975669304789857 -2.7077123499835254549 1.8666284181705870358 1/66"
    ),
    c=_exact("0 0.161 0.327 0.9 0.98002554090450968573 1 1"),
    dense_output=(
        _exact("1 -2.7637061972748259113 2.9132554618219127438 -1.0530884977290216"),
        _exact("0 0.1317 -0.2234 0.1017"),
        _exact("0 3.9302962368947515285 -5.9410338721315047347 2.490627285651252793"),
        _exact("0 -12.411077166933676984 30.338188630282321598 -16.54810288924490272"),
        _exact("0 37.509313416511039195 -88.178904894766401101 47.37952196281928122"),
        _exact("0 -27.896526289197287806 65.091894674793671526 -34.87065786149660974"),
        _exact("0 1.5 -4 2.5"),
    ),
    reference=(
        "Tsitouras, Comput. Math. Appl. 62 (2011) 770-775, DOI 10.1016/j.camwa.2011.06.002, "
        "RK5(4): a, b, c, b_hat and the interpolant of order 4"
    ),
)

_DOPRI8_B = _exact(
    "14005451/335480064 0 0 0 0 -59238493/1068277825 181606767/758867731 561292985/797845732 "
    "-1041891430/1371343529 760417239/1151165299 118820643/751138087 -528747749/2220607170 1/4 0"
)

# The interpolant of degree 6 and order 5 of Bogacki & Shampine (1990): row i holds the coefficients
# of θ, θ², ..., θ⁶ in w_i(θ). Only its value in the middle of the step is used, as in torchdiffeq.
_DOPRI8_SEXTIC = (
    _exact(
        "1 -6.6910181737837595697 19.9990069333683970610 -30.0610568289666450593 "
        "22.1396504998094068976 -6.3448349392860401388"
    ),
    *(_exact("0 0 0 0 0 0"),) * 4,
    _exact(
        "0 -7.6142658045872677172 52.2273532792945524050 -121.4999627731334642623 "
        "116.4422149550342161651 -39.6107919852202505218"
    ),
    _exact(
        "0 10.7281392630428866124 -46.8919164181093621583 83.1721004639847717481 "
        "-67.1451318825957197185 20.3761213808791436958"
    ),
    _exact(
        "0 0.5526637063753648783 -0.1890893225010595467 9.5724507555993664382 "
        "-16.5672243527496524646 7.3347098826795362023"
    ),
    _exact(
        "0 4.2186562625665153803 -35.7075975946222072821 87.8406057677205645007 "
        "-89.9916014847245016028 32.8801774352459155182"
    ),
    _exact(
        "0 -0.6627209125361597559 6.2736448083240352160 -17.4152107770762969005 "
        "22.6237489648532849093 -10.1588990526426760954"
    ),
    _exact(
        "0 -1.2636789001135462218 10.3160881272450748458 -28.5903289514790976966 "
        "32.2362340167355370113 -12.5401268098782561200"
    ),
    _exact(
        "0 5.4106037898590422230 -34.7650769866611817349 81.6630950584341412934 "
        "-82.1020315488359848644 29.5553001484516038033"
    ),
    _exact(
        "0 -7.0321379067945741781 47.7457971078225540396 -114.9375291377009418170 "
        "116.2662185791119533462 -41.7923486424390588923"
    ),
    _exact(
        "0 2.3537586759714983486 -19.0082099341608028453 50.2558364226176017553 "
        "-53.9020777466385396792 20.3006925822100825485"
    ),
)

DOPRI8 = ButcherTableau(
    name="dopri8",
    order=8,
    a=_triangle(
        "1/18",
        "1/48 1/16",
        "1/32 0 3/32",
        "5/16 0 -75/64 75/64",
        "3/80 0 0 3/16 3/20",
        "29443841/614563906 0 0 77736538/692538347 -28693883/1125000000 23124283/1800000000",
        "16016141/946692911 0 0 61564180/158732637 22789713/633445777 545815736/2771057229 "
        "-180193667/1043307555",
        "39632708/573591083 0 0 -433636366/683701615 -421739975/2616292301 100302831/723423059 "
        "790204164/839813087 800635310/3783071287",
        "246121993/1340847787 0 0 -37695042795/15268766246 -309121744/1061227803 "
        "-12992083/490766935 6005943493/2108947869 393006217/1396673457 123872331/1001029789",
        "-1028468189/846180014 0 0 8478235783/508512852 1311729495/1432422823 "
        "-10304129995/1701304382 -48777925059/3047939560 15336726248/1032824649 "
        "-45442868181/3398467696 3065993473/597172653",
        "185892177/718116043 0 0 -3185094517/667107341 -477755414/1098053517 "
        "-703635378/230739211 5731566787/1027545527 5232866602/850066563 -4093664535/808688257 "
        "3962137247/1805957418 65686358/487910083",
        "403863854/491063109 0 0 -5068492393/434740067 -411421997/543043805 652783627/914296604 "
        "11173962825/925320556 -13158990841/6184727034 3936647629/1978049680 "
        "-160528059/685178525 248638103/1413531060 0",
        "14005451/335480064 0 0 0 0 -59238493/1068277825 181606767/758867731 "
        "561292985/797845732 -1041891430/1371343529 760417239/1151165299 118820643/751138087 "
        "-528747749/2220607170 1/4",
    ),
    b=_DOPRI8_B,
    b_hat=_exact(
        "13451932/455176623 0 0 0 0 -808719846/976000145 1757004468/5645159321 "
        "656045339/265891186 -3867574721/1518517206 465885868/322736535 53011238/667516719 2/45 "
        "0 0"
    ),
    c=_exact(
        "0 1/18 1/12 1/8 5/16 3/8 59/400 93/200 5490023248/9719169821 13/20 "
        "1201146811/1299019798 1 1 1"
    ),
    dense_output=quartic_dense_output(
        _DOPRI8_B,
        tuple(
            sum((r * Fraction(1, 2) ** (k + 1) for k, r in enumerate(row)), start=Fraction(0))
            for row in _DOPRI8_SEXTIC
        ),
    ),
    reference=(
        "Prince & Dormand, J. Comput. Appl. Math. 7 (1981) 67-75, "
        "DOI 10.1016/0771-050X(81)90010-3, RK8(7)13M: a, b, c, b_hat, and b once more as the "
        "row of a 14th stage, the end slope; Bogacki & Shampine, Comput. Math. Appl. 20(3) (1990) "
        "15-24, DOI 10.1016/0898-1221(90)90027-H: the middle of the step"
    ),
)

EXPLICIT_TABLEAUS: Mapping[str, ButcherTableau] = MappingProxyType(
    {
        tableau.name: tableau
        for tableau in (
            EULER,
            MIDPOINT,
            HEUN2,
            HEUN3,
            RK4,
            RK4_CLASSIC,
            ADAPTIVE_HEUN,
            FEHLBERG2,
            BOSH3,
            DOPRI5,
            TSIT5,
            DOPRI8,
        )
    }
)
"""Every explicit tableau by name; read-only."""
