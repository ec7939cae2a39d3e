"""BSDS300: 8 x 8 patches of natural images, each pixel but the last, less the patch's mean."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .files import present
from .splits import Splits

h5py: Any
try:  # by name, as it has no types and need not be there
    h5py = import_module("h5py")
except ImportError:
    h5py = None


def read_bsds300(folder: Path) -> Splits:
    """Read ``BSDS300.hdf5``, whose parts are already divided and scaled.

    Raises
    ------
    ModuleNotFoundError
        If h5py is not installed.
    """
    path = present(folder / "BSDS300.hdf5")
    if h5py is None:
        raise ModuleNotFoundError(
            f"{path} is an HDF5 file, and the package h5py, which reads them, is not installed; "
            "install it by 'pip install h5py'"
        )
    with h5py.File(path, "r") as file:
        return Splits(*(np.asarray(file[part]) for part in ("train", "validation", "test")))
