"""Energy by a counter that rises as it is told, and by a real one where there is one."""

import math
from types import SimpleNamespace

import pytest
import torch

from benchmarks.meters import energy, joules
from tests.benchmarks.meters.devices import needs_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class FakeNvml:
    """NVML of one card, whose energy counter the test moves."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, has_counter=True):
        self.millijoules = 5_000
        self.has_counter = has_counter

    def nvmlInit(self):  # noqa: N802  NVML's own names
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        assert uuid == "GPU-1234"
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        assert handle == "handle"
        if not self.has_counter:
            raise self.NVMLError
        return self.millijoules


@pytest.fixture
def card(monkeypatch):
    nvml = FakeNvml()
    monkeypatch.setattr(energy, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(energy, "synchronize", lambda _: None)
    return nvml


@pytest.mark.parametrize("min_seconds", [0.0, 0.01])
def test_what_the_counter_rises_by_in_a_call(card, min_seconds):
    num_calls = 0

    def call():
        nonlocal num_calls
        num_calls += 1
        card.millijoules += 2_500

    assert joules(call, GPU, min_seconds=min_seconds) == pytest.approx(2.5)
    assert (num_calls == 1) == (min_seconds == 0.0)


def test_nan_where_the_card_has_no_counter(card):
    card.has_counter = False
    assert math.isnan(joules(lambda: None, GPU))


def test_nan_on_a_cpu_and_without_nvml(card, monkeypatch):
    assert math.isnan(joules(lambda: None, CPU))
    monkeypatch.setattr(energy, "pynvml", None)
    assert math.isnan(joules(lambda: None, GPU))


@needs_gpu
def test_a_busy_card_takes_more_than_an_idle_one():
    pytest.importorskip("pynvml")
    x = torch.rand(4096, 4096, device=GPU)
    busy = joules(lambda: x @ x, GPU)
    if math.isnan(busy):
        pytest.skip("this card has no energy counter")
    assert 0 < busy < 700 * 10  # no card takes a kilowatt for ten seconds of one product
