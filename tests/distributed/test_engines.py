"""Solves in several processes, started by torchrun: each check is a function of its own."""

import functools
import time

import pytest
import torch

from tests.distributed.all_checks import CHECKS, FOR_MANY
from tests.distributed.launch import found_by, torchrun


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what checks found: all of them in one start of the processes."""

    @functools.cache
    def run(size, backend="gloo", names=()):
        folder = tmp_path_factory.mktemp(f"{backend}{size}")
        return found_by("tests.distributed.all_checks", size, folder, *names, backend=backend)

    return run


@pytest.mark.parametrize("check", CHECKS)
def test_in_two_processes(found, check):
    failure = found(2)[check]
    assert not failure, failure


@pytest.mark.parametrize("check", FOR_MANY)
def test_in_four_processes(found, check):
    failure = found(4, names=FOR_MANY)[check]
    assert not failure, failure


@pytest.mark.parametrize("size", [2, 4, 8])
def test_on_gpus(found, size):
    if torch.cuda.device_count() < size:
        pytest.skip(f"NCCL wants {size} GPUs")
    failures = {name: text for name, text in found(size, "nccl").items() if text}
    assert not failures, failures


def test_the_processes_end_well(found):
    """No check that only looked well: every process wrote a line for each, and none crashed."""
    assert set(found(2)) == set(CHECKS)


@pytest.mark.parametrize(("how", "said"), [("raises", "cannot go on"), ("killed", "SIGKILL")])
def test_a_rank_that_fails_ends_the_others(how, said, tmp_path):
    began = time.monotonic()
    done = torchrun("tests.distributed.failing", 2, tmp_path, how)
    assert done.returncode
    assert said in done.stderr
    assert time.monotonic() - began < 60
