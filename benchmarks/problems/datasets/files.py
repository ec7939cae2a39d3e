"""Reading the published files, with no package beyond NumPy, and running nothing they contain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .splits import Table


def present(path: Path) -> Path:
    """Return the path.

    Raises
    ------
    FileNotFoundError
        If no file is there.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there; put the published file into {path.parent}, or move that folder "
            "away, and numbers of the same shape are drawn instead"
        )
    return path


def read_npy(path: Path) -> Table:
    """Read a two-dimensional array of numbers; arrays of pickled objects are refused.

    Raises
    ------
    ValueError
        If the array has another number of dimensions, or holds objects.
    """
    table: Table = np.load(present(path), allow_pickle=False)
    if table.ndim != 2:
        raise ValueError(f"{path} holds an array of shape {table.shape}; expected (samples, dim)")
    return table


def require_columns(table: Table, num_columns: int, path: Path, content: str) -> None:
    """Raise a ValueError unless a table has as many columns as the published one, whose are named.

    Parameters
    ----------
    content : str
        What the columns are.
    """
    if table.shape[1] != num_columns:
        raise ValueError(
            f"the table in {path} has {table.shape[1]} columns; expected {num_columns}: {content}. "
            "Is it the published one?"
        )


def read_csv(path: Path) -> tuple[list[str], Table]:
    """Read a file of numbers under one line of column names.

    Cells beyond the named columns, as lines that end in a comma have, are ignored.

    Returns
    -------
    names : list of str
    table : array, shape (num_rows, num_names), float64
    """
    with present(path).open(encoding="utf-8") as lines:
        names = [name.strip() for name in next(lines).strip().split(",")]
        table: Table = np.loadtxt(lines, delimiter=",", usecols=range(len(names)), ndmin=2)
    return names, table
