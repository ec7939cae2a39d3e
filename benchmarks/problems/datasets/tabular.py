"""The five tabular density estimation sets, preprocessed as their first users did.

The files are those that the authors of MAF distribute. What is done to them here is what was done
there, down to the random numbers, so that densities can be compared.

References
----------
Papamakarios, Pavlakou & Murray, Masked Autoregressive Flow for Density Estimation, NeurIPS 2017,
arXiv:1705.07057, appendix D; files: doi:10.5281/zenodo.1161203.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .bsds300 import read_bsds300
from .data_root import DataSource, data_root
from .files import present, read_csv, read_npy, require_columns
from .gaussian_mixture import draw_gaussian_mixture
from .splits import Splits, Table, hold_out_last_tenth, split_in_order, standardized

MAX_CORRELATION = 0.98  # of two of GAS's columns
MAX_REPETITIONS = 5  # of the least value of one of HEPMASS's columns


@dataclass(frozen=True)
class TabularDataset:
    """A tabular data set.

    Attributes
    ----------
    folder : str
        Below the data root.
    dim : int
        Columns that are left after the preprocessing.
    read : callable
        Maps the folder to its preprocessed parts.
    """

    folder: str
    dim: int
    read: Callable[[Path], Splits]

    def source(self) -> DataSource:
        """Return whether the files' folder is there, or numbers are drawn in their stead."""
        root = data_root()
        return "synthetic" if root is None or not (root / self.folder).is_dir() else "real"

    def minibatch(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """Return different rows of the training part, or drawn ones, (batch_size, dim), float64."""
        root = data_root()
        if root is None or self.source() == "synthetic":
            return draw_gaussian_mixture(self.dim, batch_size, generator)
        train = _training_rows(self, root)
        if batch_size > len(train):
            raise ValueError(
                f"batch {batch_size} is more than the {len(train)} training rows of "
                f"{self.folder} that there are"
            )
        chosen = torch.randperm(len(train), generator=generator)[:batch_size]
        return torch.from_numpy(np.asarray(train[chosen.numpy()], dtype=np.float64))


@lru_cache(maxsize=1)
def _training_rows(dataset: TabularDataset, root: Path) -> Table:
    train = dataset.read(root / dataset.folder).train
    if train.shape[1] != dataset.dim:
        raise ValueError(
            f"the files in {root / dataset.folder} leave {train.shape[1]} columns; the published "
            f"data set has {dataset.dim}. Are they the published ones?"
        )
    return train


def read_power(folder: Path) -> Splits:
    """Read ``data.npy``: a household's electric power by the minute, 8 columns, 6 of them used.

    Rows are shuffled; reactive power and intensity are dropped; to the discrete readings, all
    columns but the time, uniform noise of their own resolution is added. NumPy's old generator,
    seeded by 42, draws both.
    """
    table = read_npy(folder / "data.npy")
    require_columns(
        table, 8, folder, "active and reactive power, voltage, intensity, 3 meters, time"
    )
    rng = np.random.RandomState(42)
    rng.shuffle(table)
    table = np.delete(table, (1, 3), axis=1)
    num_rows = len(table)
    voltage_noise = 0.01 * rng.rand(num_rows, 1)
    power_noise = 0.001 * rng.rand(num_rows, 1)
    meter_noise = rng.rand(num_rows, 3)
    no_noise = np.zeros((num_rows, 1))
    noise = np.hstack((power_noise, voltage_noise, meter_noise, no_noise))
    splits = split_in_order(table + noise)
    return standardized(splits, np.vstack((splits.train, splits.validation)), ddof=0)


def read_gas(folder: Path) -> Splits:
    """Read ``ethylene_CO.npy`` or ``.csv``: time, two concentrations and 16 gas sensors.

    Only sensors are kept, and of those that go along with one another (a correlation above 0.98)
    one each. The published file is a pickled pandas frame. Loading one runs what it says, so it
    is refused, and one of the other two formats asked for.

    Raises
    ------
    FileNotFoundError
        If only the pickle is there, or nothing.
    ValueError
        If there are not 19 columns.
    """
    if (folder / "ethylene_CO.npy").is_file():
        table = read_npy(folder / "ethylene_CO.npy")
    elif (folder / "ethylene_CO.csv").is_file():
        _, table = read_csv(folder / "ethylene_CO.csv")
    else:
        pickled = present(folder / "ethylene_CO.pickle")
        raise FileNotFoundError(
            f"{pickled} is a pickle, which could run anything when it is loaded. If you trust it, "
            f"convert it once by: python -c \"import pandas; pandas.read_pickle('{pickled}')"
            f".to_csv('{pickled.with_suffix('.csv')}', index=False)\""
        )
    require_columns(table, 19, folder, "the time, 2 concentrations and 16 sensors")
    sensors = table[:, 3:]
    alike = np.asarray(np.corrcoef(sensors.T) > MAX_CORRELATION)
    kept = list(range(sensors.shape[1]))
    while redundant := [i for i in kept if alike[i, kept].sum() > 1]:  # a sensor is like itself
        kept.remove(redundant[0])
    sensors = sensors[:, kept]
    return split_in_order((sensors - sensors.mean(axis=0)) / sensors.std(axis=0, ddof=1))


def read_hepmass(folder: Path) -> Splits:
    """Read ``1000_train.csv`` and ``1000_test.csv``: collisions in which a particle decayed.

    Only rows of label 1 are used. The test file has a last column that the training file lacks.
    Columns whose least value is found more than five times in training are dropped as discrete.
    """
    (_, train), (_, test) = (
        read_csv(folder / name) for name in ("1000_train.csv", "1000_test.csv")
    )
    train, test = train[train[:, 0] == 1, 1:], test[test[:, 0] == 1, 1:-1]
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"the training file in {folder} has {train.shape[1]} features and the test file "
            f"{test.shape[1]} and one more; expected the same and one more"
        )
    repetitions = np.count_nonzero(train == train.min(axis=0), axis=0)
    (continuous,) = np.nonzero(repetitions <= MAX_REPETITIONS)
    train, test = train[:, continuous], test[:, continuous]
    return standardized(Splits(*hold_out_last_tenth(train), test), train, ddof=1)


def read_miniboone(folder: Path) -> Splits:
    """Read ``data.npy``: neutrino events, already free of outliers and discrete columns."""
    splits = split_in_order(read_npy(folder / "data.npy"))
    return standardized(splits, np.vstack((splits.train, splits.validation)), ddof=0)


POWER = TabularDataset("power", 6, read_power)
GAS = TabularDataset("gas", 8, read_gas)
HEPMASS = TabularDataset("hepmass", 21, read_hepmass)
MINIBOONE = TabularDataset("miniboone", 43, read_miniboone)
BSDS300 = TabularDataset("BSDS300", 63, read_bsds300)
