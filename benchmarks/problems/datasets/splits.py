"""The parts of a table, and how the published preprocessing divides and scales it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.floating]
"""Samples by rows, shape (num_samples, dim)."""


class Splits(NamedTuple):
    """A table's rows for training, for validation and for the test."""

    train: Table
    validation: Table
    test: Table


def hold_out_last_tenth(table: Table) -> tuple[Table, Table]:
    """Return all rows but the last tenth, and that tenth.

    Raises
    ------
    ValueError
        If there are not ten rows.
    """
    num_held_out = len(table) // 10
    if num_held_out == 0:
        raise ValueError(
            f"a table of {len(table)} rows has no tenth to hold out; at least 10 are needed"
        )
    return table[:-num_held_out], table[-num_held_out:]


def split_in_order(table: Table) -> Splits:
    """Hold out the last tenth for the test, and the last tenth of the rest for validation."""
    rest, test = hold_out_last_tenth(table)
    return Splits(*hold_out_last_tenth(rest), test)


def standardized(splits: Splits, reference: Table, *, ddof: int) -> Splits:
    """Return the parts with the reference's mean moved to 0 and its deviation scaled to 1.

    Parameters
    ----------
    ddof : int
        0 divides the variance by the number of rows (NumPy's habit), 1 by one less (pandas').
    """
    mean = reference.mean(axis=0)
    deviation = reference.std(axis=0, ddof=ddof)
    return Splits(*((part - mean) / deviation for part in splits))
