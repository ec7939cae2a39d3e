"""A limit on memory, as a caller writes it."""

import re
from typing import TypeAlias

from symadj.errors import InvalidInputError

MemoryBudget: TypeAlias = int | str | None
"""What a caller may ask for: bytes, or a number and a unit, such as "512MiB"."""

UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Bytes of each unit; only those with an i are powers of two."""


def read_budget(given: MemoryBudget) -> int | None:
    """Return a limit in bytes.

    Raises
    ------
    InvalidInputError
        If it is none.

    Examples
    --------
    >>> [read_budget(given) for given in (None, 4096, "512MiB", "1.5 GB", "2e3 kB")]
    [None, 4096, 536870912, 1500000000, 2000000]
    """
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    if isinstance(given, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*(?:e\d+)?|\.\d+)\s*([A-Za-z]*)\s*", given)
        if match is not None and match[2] in UNITS and float(match[1]) > 0:
            return max(int(float(match[1]) * UNITS[match[2]]), 1)
    raise InvalidInputError(
        f"memory_budget={given!r} is not known. Allowed are None, a positive whole number of "
        f'bytes, and a string of a number and a unit, such as "512MiB", "2GiB" or "1.5 GB": '
        f"{', '.join(unit for unit in UNITS if unit)} (1 KiB = 1024 B, 1 kB = 1000 B)."
    )


def show_bytes(nbytes: float) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> [show_bytes(nbytes) for nbytes in (812, 4096, 3 * 2**20)]
    ['812 B', '4.0 KiB', '3.0 MiB']
    """
    if nbytes < 2**10:
        return f"{nbytes:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        nbytes /= 2**10
        if nbytes < 2**10:
            return f"{nbytes:.1f} {unit}"
    return f"{nbytes / 2**10:.1f} TiB"
