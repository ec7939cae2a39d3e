import math

import pytest
import torch

from benchmarks.problems.irregular_spirals import (
    DURATION,
    MAX_ANGLE,
    NOISE,
    observe_spirals,
    spiral,
)
from benchmarks.problems.latent_ode import LATENT_ODE
from benchmarks.problems.recognition import RecurrentEncoder


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_times_are_irregular_and_each_sample_has_its_own():
    times, values, is_observed = observe_spirals(12, seeded(0))
    assert values.shape == (100, 12, 2)
    assert times[0] == 0
    assert times[-1] < DURATION
    gaps = times.diff()
    assert gaps.min() > 0
    assert gaps.max() > 5 * gaps.min()
    assert is_observed.sum(dim=0).tolist() == [30] * 12
    assert len({tuple(column.tolist()) for column in is_observed.T}) == 12


def test_spirals_turn_either_way():
    angle = torch.linspace(1.0, MAX_ANGLE - 1, 50, dtype=torch.float64)
    for is_clockwise, shift, turn in ((True, -5.0, -1), (False, 5.0, 1)):
        x, y = spiral(angle, torch.tensor(is_clockwise)).unbind(dim=-1)
        x = x - shift
        area = x[:-1] * y[1:] - x[1:] * y[:-1]  # its sign is the sense of the turn
        assert (turn * area > 0).all()
        radius = 50 / (MAX_ANGLE + 1 - angle) if is_clockwise else angle
        torch.testing.assert_close(torch.hypot(x, y), radius)


def test_encoder_sees_what_is_observed_and_when():
    times, values, is_observed = observe_spirals(4, seeded(0))
    encoder = RecurrentEncoder(2, 25, 4, 1.0, seeded(1))
    mean, log_variance = encoder(times, values, is_observed)
    assert mean.shape == log_variance.shape == (4, 4)
    hidden = torch.where(is_observed[..., None], values, 100.0)
    assert torch.equal(encoder(times, hidden, is_observed)[0], mean)
    seen = torch.where(is_observed[..., None], 100.0, values)
    assert not torch.equal(encoder(times, seen, is_observed)[0], mean)
    assert not torch.equal(encoder(times**2, values, is_observed)[0], mean)


def test_encoder_of_one_sample_does_not_depend_on_the_others():
    times, values, is_observed = observe_spirals(4, seeded(0))
    encoder = RecurrentEncoder(2, 25, 4, 1.0, seeded(1))
    alone = encoder(times, values[:, 2:3], is_observed[:, 2:3])[0]
    torch.testing.assert_close(alone, encoder(times, values, is_observed)[0][2:3])


def test_loss_is_the_likelihood_of_what_was_observed():
    instance = LATENT_ODE.build("4-8-4 batch 5", torch.float64, torch.device("cpu"))
    loss = instance.loss
    zs = torch.randn(100, 5, 4, generator=seeded(0), dtype=torch.float64)
    decoded = loss.decoder(zs)
    is_observed = loss.weights > 0
    density = torch.distributions.Normal(decoded, NOISE).log_prob(loss.values)
    assert loss(zs).item() == pytest.approx(-density[is_observed].mean().item())
    assert loss(zs) > math.log(NOISE * math.sqrt(2 * math.pi))
