"""The loaders, on small files in the published formats."""

import numpy as np
import pytest
import torch

from benchmarks.problems.datasets import bsds300
from benchmarks.problems.datasets.data_root import data_root
from benchmarks.problems.datasets.splits import split_in_order
from benchmarks.problems.datasets.tabular import (
    BSDS300,
    GAS,
    HEPMASS,
    MINIBOONE,
    POWER,
    read_gas,
    read_hepmass,
    read_miniboone,
    read_power,
)

SETS = [POWER, GAS, HEPMASS, MINIBOONE, BSDS300]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def folder_with(root, name, **files):
    folder = root / name
    folder.mkdir()
    for file, content in files.items():
        np.save(folder / f"{file}.npy", content)
    return folder


def write_csv(path, names, table, end=""):
    rows = (",".join(repr(float(number)) for number in row) + end for row in table)
    path.write_text("\n".join((",".join(names), *rows)) + "\n")


class TestWithoutFiles:
    @pytest.mark.parametrize("dataset", SETS, ids=lambda dataset: dataset.folder)
    def test_numbers_of_the_same_shape_are_drawn(self, dataset, no_data):
        assert dataset.source() == "synthetic"
        rows = dataset.minibatch(7, seeded(0))
        assert rows.shape == (7, dataset.dim)
        assert rows.dtype == torch.float64
        assert torch.equal(rows, dataset.minibatch(7, seeded(0)))
        assert not torch.equal(rows, dataset.minibatch(7, seeded(1)))

    def test_another_sets_files_make_no_difference(self, data_folder):
        folder_with(data_folder, "power", data=normal(100, 8))
        assert POWER.source() == "real"
        assert GAS.source() == "synthetic"

    def test_an_empty_folder_is_a_mistake_and_not_a_wish_for_drawn_numbers(self, data_folder):
        (data_folder / "power").mkdir()
        with pytest.raises(FileNotFoundError, match=r"data\.npy is not there; put the published"):
            POWER.minibatch(3, seeded(0))

    def test_a_root_that_is_no_folder_is_refused(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SYMADJ_DATA", str(tmp_path / "absent"))
        with pytest.raises(NotADirectoryError, match=r"SYMADJ_DATA is .* which is no folder"):
            data_root()


def test_parts_are_the_last_tenths_in_order():
    table = np.arange(100.0).reshape(100, 1)
    train, validation, test = split_in_order(table)
    assert test[:, 0].tolist() == list(range(90, 100))
    assert validation[:, 0].tolist() == list(range(81, 90))
    assert train[:, 0].tolist() == list(range(81))
    with pytest.raises(ValueError, match="at least 10"):
        split_in_order(table[:9])


class TestPower:
    def test_discrete_readings_are_shuffled_dequantised_and_scaled(self, data_folder):
        raw = np.round(normal(200, 8), 1)
        raw[:, 7] = np.arange(200)  # the time of the day, to which nothing is added
        raw[:, 1] = raw[:, 3] = 1e6  # columns that are not used
        splits = read_power(folder_with(data_folder, "power", data=raw))
        assert [part.shape for part in splits] == [(162, 6), (18, 6), (20, 6)]
        seen = np.vstack((splits.train, splits.validation))
        np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(seen.std(axis=0), 1)
        # The same shuffle, and noise of a hundredth on the voltage, the second column left.
        rng = np.random.RandomState(42)
        order = np.arange(200)
        rng.shuffle(order)
        rng_noise = 0.01 * rng.rand(200)
        voltage = raw[order, 2] + rng_noise
        expected = (voltage - voltage[:180].mean()) / voltage[:180].std()
        np.testing.assert_allclose(np.vstack(splits)[:, 1], expected)
        time = raw[order, 7]
        expected = (time - time[:180].mean()) / time[:180].std()
        np.testing.assert_allclose(np.vstack(splits)[:, 5], expected)

    def test_minibatch_is_of_different_training_rows(self, data_folder):
        folder = folder_with(data_folder, "power", data=normal(200, 8))
        rows = POWER.minibatch(162, seeded(0))
        assert len(rows.unique(dim=0)) == 162
        train = torch.from_numpy(read_power(folder).train)
        assert torch.equal(rows.sort(dim=0).values, train.sort(dim=0).values)
        with pytest.raises(ValueError, match="more than the 162 training rows"):
            POWER.minibatch(163, seeded(0))

    def test_another_table_is_refused(self, data_folder):
        folder = folder_with(data_folder, "power", data=normal(100, 9))
        with pytest.raises(ValueError, match="has 9 columns; expected 8"):
            read_power(folder)

    def test_pickled_objects_are_refused(self, data_folder):
        np.save(
            folder_with(data_folder, "power") / "data.npy",
            np.array([[{"not": "a number"}]]),
            allow_pickle=True,
        )
        with pytest.raises(ValueError, match="allow_pickle"):
            POWER.minibatch(3, seeded(0))


class TestGas:
    @staticmethod
    def raw():
        independent = normal(300, 8)
        alike = independent + 0.01 * normal(300, 8, seed=1)
        return np.hstack((1e6 * normal(300, 3, seed=2), independent, alike))

    def test_one_of_sensors_that_go_along_with_one_another_is_kept(self, data_folder):
        raw = self.raw()
        splits = read_gas(folder_with(data_folder, "gas", ethylene_CO=raw))
        assert [part.shape for part in splits] == [(243, 8), (27, 8), (30, 8)]
        kept = raw[:, 11:]  # the first of each pair goes
        expected = (kept - kept.mean(axis=0)) / kept.std(axis=0, ddof=1)
        np.testing.assert_allclose(np.vstack(splits), expected)
        assert GAS.minibatch(5, seeded(0)).shape == (5, 8)

    def test_csv_is_read_too(self, data_folder):
        folder = data_folder / "gas"
        folder.mkdir()
        names = ("Time", "Meth", "Eth", *(str(i) for i in range(16)))
        write_csv(folder / "ethylene_CO.csv", names, self.raw())
        from_csv = read_gas(folder)
        np.save(folder / "ethylene_CO.npy", self.raw())
        np.testing.assert_allclose(from_csv.test, read_gas(folder).test, rtol=1e-12)

    def test_a_pickle_is_not_loaded_but_asked_to_be_converted(self, data_folder):
        folder = data_folder / "gas"
        folder.mkdir()
        (folder / "ethylene_CO.pickle").write_bytes(b"cbuiltins\nexit\n(tR.")  # would end us
        with pytest.raises(FileNotFoundError, match=r"python -c .*read_pickle.*to_csv"):
            read_gas(folder)

    def test_another_table_is_refused(self, data_folder):
        folder = folder_with(data_folder, "gas", ethylene_CO=normal(100, 5))
        with pytest.raises(ValueError, match="has 5 columns; expected 19"):
            read_gas(folder)


class TestHepmass:
    NAMES = ("# label", *(f"f{i}" for i in range(27)))

    def write(self, root, num_train=200, num_test=60, end=""):
        """Write files in which six columns take few values, and return the tables."""
        folder = root / "hepmass"
        folder.mkdir()
        train, test = normal(num_train, 28), normal(num_test, 29, seed=1)
        for table in (train, test):
            table[:, 0] = np.arange(len(table)) % 2
            table[:, 3:9] = np.round(table[:, 3:9]).clip(-1, 1)
        write_csv(folder / "1000_train.csv", self.NAMES, train, end)
        write_csv(folder / "1000_test.csv", (*self.NAMES, "mass"), test, end)
        return folder, train, test

    def test_only_the_signals_continuous_columns_are_kept(self, data_folder):
        folder, train, test = self.write(data_folder)
        splits = read_hepmass(folder)
        assert [part.shape for part in splits] == [(90, 21), (10, 21), (30, 21)]
        columns = [1, 2, *range(9, 28)]
        signal = train[train[:, 0] == 1][:, columns]
        mean, deviation = signal.mean(axis=0), signal.std(axis=0, ddof=1)
        seen = np.vstack((splits.train, splits.validation))
        np.testing.assert_allclose(seen, (signal - mean) / deviation, rtol=1e-10)
        expected = (test[test[:, 0] == 1][:, columns] - mean) / deviation
        np.testing.assert_allclose(splits.test, expected, rtol=1e-10)
        assert HEPMASS.minibatch(4, seeded(0)).shape == (4, 21)

    def test_lines_that_end_in_a_comma_are_read(self, data_folder):
        folder, *_ = self.write(data_folder, end=",")
        assert read_hepmass(folder).train.shape == (90, 21)

    def test_files_that_do_not_belong_together_are_refused(self, data_folder):
        folder, train, _ = self.write(data_folder)
        write_csv(folder / "1000_test.csv", self.NAMES, train)
        with pytest.raises(ValueError, match="expected the same and one more"):
            read_hepmass(folder)


class TestMiniboone:
    def test_parts_are_scaled_by_what_is_not_the_test(self, data_folder):
        raw = 3 + 2 * normal(200, 43)
        splits = read_miniboone(folder_with(data_folder, "miniboone", data=raw))
        assert [part.shape for part in splits] == [(162, 43), (18, 43), (20, 43)]
        mean, deviation = raw[:180].mean(axis=0), raw[:180].std(axis=0)
        np.testing.assert_allclose(np.vstack(splits), (raw - mean) / deviation)

    def test_another_table_is_refused(self, data_folder):
        folder_with(data_folder, "miniboone", data=normal(200, 50))
        with pytest.raises(ValueError, match="leave 50 columns; the published data set has 43"):
            MINIBOONE.minibatch(3, seeded(0))

    def test_an_array_that_is_no_table_is_refused(self, data_folder):
        folder = folder_with(data_folder, "miniboone", data=normal(200))
        with pytest.raises(ValueError, match=r"shape \(200,\); expected \(samples, dim\)"):
            read_miniboone(folder)


class TestBsds300:
    def test_parts_are_read_as_they_are(self, data_folder):
        h5py = pytest.importorskip("h5py")
        (data_folder / "BSDS300").mkdir()
        parts = {"train": normal(9, 63), "validation": normal(3, 63), "test": normal(2, 63)}
        with h5py.File(data_folder / "BSDS300" / "BSDS300.hdf5", "w") as file:
            for name, part in parts.items():
                file[name] = part
        splits = bsds300.read_bsds300(data_folder / "BSDS300")
        for part, expected in zip(splits, parts.values(), strict=True):
            np.testing.assert_array_equal(part, expected)
        assert BSDS300.minibatch(4, seeded(0)).shape == (4, 63)

    def test_parts_are_those_of_the_file(self, data_folder, monkeypatch):
        # Without h5py installed, a stand-in shows that the right parts are asked for.
        (data_folder / "BSDS300").mkdir()
        (data_folder / "BSDS300" / "BSDS300.hdf5").touch()
        parts = {"train": normal(9, 63), "validation": normal(3, 63), "test": normal(2, 63)}
        monkeypatch.setattr(bsds300, "h5py", StandInForH5py(parts))
        assert bsds300.read_bsds300(data_folder / "BSDS300").train.shape == (9, 63)

    def test_without_h5py_it_says_what_to_install(self, data_folder, monkeypatch):
        (data_folder / "BSDS300").mkdir()
        (data_folder / "BSDS300" / "BSDS300.hdf5").touch()
        monkeypatch.setattr(bsds300, "h5py", None)
        with pytest.raises(ModuleNotFoundError, match="pip install h5py"):
            BSDS300.minibatch(3, seeded(0))


class StandInForH5py:
    def __init__(self, parts):
        self.parts = parts

    def File(self, path, mode):  # noqa: N802  # h5py's own name
        assert mode == "r"
        return self

    def __enter__(self):
        return self.parts

    def __exit__(self, *_):
        return None
