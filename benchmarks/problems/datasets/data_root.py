"""Where the data sets' files lie.

    SYMADJ_DATA     a folder with power/data.npy, gas/ethylene_CO.csv, mnist/..., as published

Unset, or for a data set whose files are not there, the problems draw numbers of the same shape,
and say so: ``Problem.data`` is "synthetic" then, and their version another one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

DATA_VARIABLE = "SYMADJ_DATA"

DataSource = Literal["real", "synthetic"]


def data_root() -> Path | None:
    """Return the folder of the data sets, None if the environment names none.

    Raises
    ------
    NotADirectoryError
        If it names something else.
    """
    text = os.environ.get(DATA_VARIABLE, "")
    if not text:
        return None
    root = Path(text)
    if not root.is_dir():
        raise NotADirectoryError(
            f"{DATA_VARIABLE} is {text!r}, which is no folder; name the folder that holds "
            "power/, gas/, hepmass/, miniboone/, BSDS300/ or mnist/, or leave it unset"
        )
    return root
