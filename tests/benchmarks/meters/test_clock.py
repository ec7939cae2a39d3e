"""Clocks against a known wait."""

import math
import time

import pytest
import torch

from benchmarks.meters import Stopwatch
from tests.benchmarks.meters.devices import needs_gpu

GPU = torch.device("cuda")


def test_laps_last_as_long_as_the_waits_in_them():
    stopwatch = Stopwatch(torch.device("cpu"))
    time.sleep(0.02)
    stopwatch.mark()
    time.sleep(0.05)
    stopwatch.mark()
    first, second = stopwatch.wall_seconds
    assert 0.02 <= first < 0.05  # a sleep is never short, and seldom long
    assert second >= 0.05


def test_the_gpus_clock_is_nan_without_a_gpu():
    stopwatch = Stopwatch(torch.device("cpu"))
    stopwatch.mark()
    assert math.isnan(stopwatch.cuda_seconds)


@needs_gpu
def test_the_gpus_clock_and_the_walls_agree_on_a_kernel_of_known_length():
    cycles_per_second = 1000.0 * torch.cuda.get_device_properties(GPU).clock_rate
    torch.cuda._sleep(1000)  # the first launch loads the kernel
    stopwatch = Stopwatch(GPU)
    torch.cuda._sleep(int(0.05 * cycles_per_second))
    stopwatch.mark()
    (wall,) = stopwatch.wall_seconds
    assert wall == pytest.approx(stopwatch.cuda_seconds, rel=0.1)
    # the clock rate is the highest; a card that runs slower sleeps longer
    assert 0.045 < stopwatch.cuda_seconds < 0.25
