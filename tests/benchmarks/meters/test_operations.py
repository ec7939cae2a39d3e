"""Operations, counted by hand."""

import pytest
import torch

from benchmarks.meters import count_operations
from tests.benchmarks.meters.devices import needs_gpu


@pytest.mark.parametrize("num_operations", [0, 1, 7])
def test_n_operations_are_n(num_operations):
    x = torch.ones(3)

    def call():
        y = x
        for _ in range(num_operations):
            y = y + x

    assert count_operations(call) == num_operations


def gradient_of_sines(device, num_layers):
    x = torch.ones(3, device=device, requires_grad=True)
    cotangent = torch.ones(3, device=device)

    def call():
        y = x
        for _ in range(num_layers):
            y = torch.sin(y)
        torch.autograd.grad(y, x, cotangent)

    return call


def test_the_backward_pass_counts_too():
    # a sine is one operation, its vjp a cosine and a product
    for num_layers in (1, 4):
        assert count_operations(gradient_of_sines("cpu", num_layers)) == 3 * num_layers


@needs_gpu
def test_the_backward_pass_on_a_gpu_counts_as_on_a_cpu():
    # where it runs in a thread of its own
    on_cpu, on_gpu = (count_operations(gradient_of_sines(device, 4)) for device in ("cpu", "cuda"))
    assert on_gpu == on_cpu


def test_views_count():
    x = torch.ones(2, 3)
    assert count_operations(lambda: x.view(3, 2).mT) == 2
