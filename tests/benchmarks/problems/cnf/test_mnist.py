import pytest
import torch
from torch import nn

from benchmarks.problems.cnf.mnist import CNF_MNIST
from benchmarks.problems.cnf.multiscale import MultiscaleVelocity, flow_places, squeeze

CPU = torch.device("cpu")


def test_scales_are_ffjords():
    shapes = [tuple(places.shape) for places in flow_places(28, 1)]
    assert shapes == [(1, 28, 28), (4, 14, 14), (2, 14, 14), (8, 7, 7), (4, 7, 7)]
    assert len(list(flow_places(28, 2))) == 10
    assert [tuple(places.shape) for places in flow_places(4, 3)] == [(1, 4, 4)] * 3


def test_flows_share_pixels_and_leave_half_of_them_at_each_scale():
    whole, squeezed, half, *_ = flow_places(28, 1)
    assert sorted(squeezed.flatten().tolist()) == whole.flatten().tolist()
    assert torch.equal(half, squeezed[:2])


def test_a_squeeze_turns_squares_into_channels():
    image = torch.arange(16).view(1, 4, 4)
    expected = torch.tensor(
        [[[0, 2], [8, 10]], [[1, 3], [9, 11]], [[4, 6], [12, 14]], [[5, 7], [13, 15]]]
    )
    assert torch.equal(squeeze(image), expected)
    pixels = torch.randn(3, 6, 4)
    assert torch.equal(squeeze(pixels), nn.functional.pixel_unshuffle(pixels, 2))
    with pytest.raises(ValueError, match="5 x 4 pixels cannot be squeezed"):
        squeeze(torch.zeros(1, 5, 4))


def test_velocity_moves_its_own_pixels_as_an_image():
    generator = torch.Generator().manual_seed(0)
    *_, places = flow_places(8, 1)
    assert places.shape == (2, 4, 4)
    velocity = MultiscaleVelocity(places, (3,), 1.0, generator)
    t = torch.tensor(0.3, dtype=torch.float64)
    x = torch.randn(2, 64, generator=generator, dtype=torch.float64)
    dx = velocity(t, x)
    first, last = velocity.layers
    image = x[:, places.flatten()].view(2, 2, 4, 4)
    expected = last(t, nn.functional.softplus(first(t, image)))
    assert torch.equal(dx[:, places.flatten()], expected.flatten(1))
    others = torch.ones(64, dtype=torch.bool)
    others[places.flatten()] = False
    assert (dx[:, others] == 0).all()


def test_flow_starts_from_the_middle_of_the_images():
    instance = CNF_MNIST.build("8 pixels 1 x 2 batch 3", torch.float64, CPU)
    x, logp = instance.y0
    assert x.shape == (3, 64)
    assert torch.equal(logp, torch.zeros(3, dtype=torch.float64))
    ink = torch.sigmoid(x) * 256
    assert ink.min() > 0
    assert ink.max() < 256
    assert instance.t.tolist() == [0.0, 3.0]
    assert instance.jump_t == (1.0, 2.0)
    assert len(instance.field.blocks) == 3


def test_an_image_larger_than_mnists_is_refused():
    with pytest.raises(ValueError, match="32 pixels is more than the 28"):
        CNF_MNIST.build("32 pixels 1 x 2 batch 3", torch.float64, CPU)
