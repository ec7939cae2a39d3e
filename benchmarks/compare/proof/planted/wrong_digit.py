"""The eighth digit of dopri5's b_5 is wrong, in its last row of a too, so that it stays FSAL."""

from fractions import Fraction

from symadj.tableaus.explicit import DOPRI5

hits = 0
_wrong = (*DOPRI5.b[:4], DOPRI5.b[4] + Fraction(1, 10**8), *DOPRI5.b[5:])
object.__setattr__(DOPRI5, "b", _wrong)
object.__setattr__(DOPRI5, "a", (*DOPRI5.a[:-1], _wrong[:-1]))
hits = int(DOPRI5.is_fsal and DOPRI5.weights[4] == _wrong[4])
