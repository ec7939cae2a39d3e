"""Runge-Kutta coefficients: what a tableau is (`butcher`), and those there are."""

from collections.abc import Mapping
from types import MappingProxyType

from symadj.tableaus.butcher import (
    ButcherTableau,
    Number,
    collocation_dense_output,
    hermite_dense_output,
    quartic_dense_output,
)
from symadj.tableaus.explicit import EXPLICIT_TABLEAUS
from symadj.tableaus.implicit import IMPLICIT_TABLEAUS

TABLEAUS: Mapping[str, ButcherTableau] = MappingProxyType(
    {**EXPLICIT_TABLEAUS, **IMPLICIT_TABLEAUS}
)
"""Every tableau by name; read-only."""

__all__ = [
    "EXPLICIT_TABLEAUS",
    "IMPLICIT_TABLEAUS",
    "TABLEAUS",
    "ButcherTableau",
    "Number",
    "collocation_dense_output",
    "hermite_dense_output",
    "quartic_dense_output",
]
