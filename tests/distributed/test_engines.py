"""Solves in several processes, started by torchrun: each check is a function of its own."""

import functools

import pytest
import torch

from tests.distributed import ddp_checks, fsdp_checks
from tests.distributed.launch import found_by

ENGINES = {"ddp": ddp_checks, "fsdp": fsdp_checks}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what the checks of an engine found: all of them in one start of the processes."""

    @functools.cache
    def run(engine, size, backend):
        folder = tmp_path_factory.mktemp(engine)
        return found_by(ENGINES[engine].__name__, size, folder, backend=backend)

    return run


EACH = [
    pytest.param(engine, check.__name__, id=f"{engine}-{check.__name__}")
    for engine, module in ENGINES.items()
    for check in module.CHECKS
]


@pytest.mark.parametrize(("engine", "check"), EACH)
def test_in_two_processes(found, engine, check):
    failure = found(engine, 2, "gloo")[check]
    assert not failure, failure


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("engine", ENGINES)
def test_on_gpus(found, engine, size):
    if torch.cuda.device_count() < size:
        pytest.skip(f"NCCL wants {size} GPUs")
    failures = {name: text for name, text in found(engine, size, "nccl").items() if text}
    assert not failures, failures


@pytest.mark.parametrize("engine", ENGINES)
def test_the_processes_end_well(found, engine):
    """No check that only looked well: every process wrote a line for each, and none crashed."""
    results = found(engine, 2, "gloo")
    assert set(results) == {check.__name__ for check in ENGINES[engine].CHECKS}
