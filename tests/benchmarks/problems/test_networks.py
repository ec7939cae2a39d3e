import math

import pytest
import torch
from torch import nn

from benchmarks.problems.initial_weights import draw_uniform
from benchmarks.problems.networks import Mlp
from benchmarks.problems.time_convolution import TimeConv2d


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("layer", [nn.Linear(36, 50), nn.Conv2d(4, 50, 3)])
def test_weights_fill_the_range_of_their_fan_in(layer):
    draw_uniform(layer, 2.0, seeded(0))
    for parameter in layer.parameters():
        assert parameter.abs().max() < 2 / math.sqrt(36)
    assert layer.weight.abs().max() > 0.99 * 2 / math.sqrt(36)
    before = layer.weight.clone()
    draw_uniform(layer, 2.0, seeded(0))
    assert torch.equal(layer.weight, before)
    draw_uniform(layer, 2.0, seeded(1))
    assert not torch.equal(layer.weight, before)


def test_mlp_is_layers_with_an_activation_between_them():
    mlp = Mlp((3, 5, 4, 2), nn.ELU(), 1.0, seeded(0), has_last_bias=False)
    assert sum(p.numel() for p in mlp.parameters()) == 3 * 5 + 5 + 5 * 4 + 4 + 4 * 2
    first, second, last = (layer for layer in mlp.layers if isinstance(layer, nn.Linear))
    x = torch.randn(7, 3, generator=seeded(1), dtype=torch.float64)
    elu = nn.functional.elu
    torch.testing.assert_close(mlp(x), elu(second(elu(first(x)))) @ last.weight.mT)


def test_convolution_sees_the_time_as_a_channel():
    layer = TimeConv2d(2, 3)
    x = torch.randn(4, 2, 5, 6, generator=seeded(0), dtype=torch.float64)
    time = torch.tensor(0.7, dtype=torch.float64)
    expected = layer.convolution(torch.cat((torch.full((4, 1, 5, 6), 0.7).double(), x), dim=1))
    assert layer(time, x).shape == (4, 3, 5, 6)
    torch.testing.assert_close(layer(time, x), expected, rtol=0, atol=1e-7)
