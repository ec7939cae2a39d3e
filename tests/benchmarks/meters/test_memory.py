"""Peak bytes of calls that allocate what is known."""

import sys

import pytest
import torch

from benchmarks.discretization import fixed_grid
from benchmarks.gradient import forward
from benchmarks.meters import peak_bytes
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS
from tests.benchmarks.meters.devices import needs_gpu

CPU = torch.device("cpu")
GPU = torch.device("cuda")
MEBI = 2**20
BACKPROP = METHODS[BASELINE].solver("default")


def allocate(num_mebibytes, device=CPU):
    return torch.ones(num_mebibytes * MEBI, dtype=torch.uint8, device=device)


class TestPeakBytes:
    def test_an_allocation_shows_as_its_size(self):
        peak = peak_bytes(lambda: allocate(100), CPU)
        assert peak.cpu == pytest.approx(100 * MEBI, rel=0.01)

    def test_what_is_freed_before_is_not_added(self):
        def one_after_the_other():
            allocate(40)
            allocate(40)

        assert peak_bytes(one_after_the_other, CPU).cpu == pytest.approx(40 * MEBI, rel=0.01)

    def test_what_was_alive_at_the_start_is_not_counted(self):
        before = allocate(100)
        assert peak_bytes(lambda: allocate(10), CPU).cpu == pytest.approx(10 * MEBI, rel=0.01)
        del before

    def test_python_objects_show_as_their_size_and_not_as_whole_arenas(self):
        def floats():
            return tuple(float(i) for i in range(20_000))

        expected = 20_000 * (sys.getsizeof(1.5) + 8)  # an object and a pointer to it
        assert expected < peak_bytes(floats, CPU).cpu < 1.4 * expected

    def test_a_gradient_repeats_from_the_first_time_on(self):
        instance = PROBLEMS["mlp-size"].build("8-16-8 batch 4", torch.float32, CPU)
        how = fixed_grid("rk4", num_steps=4, duration=2.0)

        def gradient() -> object:
            return forward(instance, BACKPROP, how).gradient()

        first, second, third = (peak_bytes(gradient, CPU).cpu for _ in range(3))
        assert first == pytest.approx(second, rel=0.02)
        assert second == pytest.approx(third, rel=0.02)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
    def test_gpu_bytes_are_nan_without_a_gpu(self):
        peak = peak_bytes(lambda: None, CPU)
        assert torch.tensor([peak.gpu, peak.gpu_reserved]).isnan().all()


@needs_gpu
class TestPeakBytesOfAGpu:
    def test_an_allocation_shows_as_its_size(self):
        peak = peak_bytes(lambda: allocate(100, GPU), GPU)
        assert peak.gpu == 100 * MEBI
        assert peak.gpu_reserved == 100 * MEBI
        assert peak.cpu < MEBI

    def test_small_tensors_reserve_a_block(self):
        peak = peak_bytes(lambda: torch.ones(10, device=GPU), GPU)
        assert peak.gpu == 512  # what torch rounds up to
        assert peak.gpu_reserved in {0, 2 * MEBI}  # none, if a block with room was there

    def test_what_was_alive_at_the_start_is_not_counted(self):
        before = allocate(100, GPU)
        peak = peak_bytes(lambda: allocate(20, GPU), GPU)
        assert peak.gpu == 20 * MEBI
        assert peak.gpu_reserved == 20 * MEBI
        del before

    def test_a_cache_that_others_filled_hides_nothing(self):
        allocate(200, GPU)  # freed, and kept by torch
        assert peak_bytes(lambda: allocate(100, GPU), GPU).gpu_reserved == 100 * MEBI
