"""A folder of data sets that the environment names."""

import pytest


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMADJ_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.delenv("SYMADJ_DATA", raising=False)
