import pytest
import torch

from benchmarks.environment import (
    DEVICE_VARIABLE,
    SIZE_VARIABLE,
    THREADS_VARIABLE,
    selected_device,
    selected_num_threads,
)
from benchmarks.sizes import QUICK, SMOKE, selected_size_set


def test_defaults(monkeypatch):
    for variable in (SIZE_VARIABLE, DEVICE_VARIABLE, THREADS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    assert selected_size_set() is QUICK
    assert selected_device() == torch.device("cpu")
    assert selected_num_threads() == 1


def test_what_is_asked_for(monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    monkeypatch.setenv(THREADS_VARIABLE, "4")
    assert selected_size_set() is SMOKE
    assert selected_num_threads() == 4


def test_an_unknown_size_names_the_allowed_ones(monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "tiny")
    with pytest.raises(
        ValueError, match=r"SYMADJ_BENCHMARK_SIZE is 'tiny'.*'smoke', 'quick', 'standard', 'full'"
    ):
        selected_size_set()


def test_an_unknown_device_names_the_allowed_ones(monkeypatch):
    monkeypatch.setenv(DEVICE_VARIABLE, "tpu")
    with pytest.raises(ValueError, match=r"'tpu'.*'cpu', 'cuda'"):
        selected_device()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_cuda_without_a_gpu_is_said(monkeypatch):
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda")
    with pytest.raises(ValueError, match="no CUDA device"):
        selected_device()


@pytest.mark.parametrize("text", ["0", "-1", "two", ""])
def test_a_thread_count_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(THREADS_VARIABLE, text)
    with pytest.raises(ValueError, match="whole numbers from 1"):
        selected_num_threads()
