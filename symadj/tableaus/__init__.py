"""Runge-Kutta coefficients: what a tableau is (`butcher`) and those there are (`explicit`)."""

from symadj.tableaus.butcher import (
    ButcherTableau,
    Number,
    hermite_dense_output,
    quartic_dense_output,
)
from symadj.tableaus.explicit import TABLEAUS

__all__ = [
    "TABLEAUS",
    "ButcherTableau",
    "Number",
    "hermite_dense_output",
    "quartic_dense_output",
]
