import pytest
import torch

from benchmarks.discretization import adaptive
from benchmarks.meters import CountingField
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems.robertson import DURATION, ROBERTSON, SCALES, robertson_data

INSTANCE = ROBERTSON.build("3-5-5-3 batch 3", torch.float64, torch.device("cpu"))


def test_data_conserve_matter_and_keep_to_the_slow_manifold():
    times, y = robertson_data(3, 0)
    assert y.shape == (11, 3, 3)
    assert times[0] == 0
    assert times[-1].item() == pytest.approx(DURATION)
    assert (y.sum(dim=-1) - 1).abs().max() < 1e-14
    assert (y >= 0).all()
    # There B is in balance: 0.04 A = 3e7 B² + 1e4 B C.
    a, b, c = y[-1].unbind(dim=-1)
    torch.testing.assert_close(0.04 * a, 3e7 * b**2 + 1e4 * b * c, rtol=2e-2, atol=0)


def test_scaled_states_are_of_order_one():
    scaled = INSTANCE.loss.trajectory
    assert scaled.max() < 2
    assert scaled[-1, :, 1].min() > 0.1  # B, a few 1e-5
    assert torch.equal(INSTANCE.y0, scaled[0])


def test_field_with_the_true_rates_and_no_correction_is_the_equation():
    field = ROBERTSON.build("3-5-5-3 batch 3", torch.float64, torch.device("cpu")).field
    y = torch.tensor([[0.9, 3e-5, 0.1]], dtype=torch.float64)
    with torch.no_grad():
        field.log_rates.copy_(torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64).log())
        for parameter in field.correction.parameters():
            parameter.zero_()
        scales = torch.tensor(SCALES, dtype=torch.float64)
        slope = field(INSTANCE.t[0], y / scales) * scales
    forth, back, away = 0.04 * 0.9, 1e4 * 3e-5 * 0.1, 3e7 * 3e-5**2
    expected = torch.tensor([[back - forth, forth - back - away, away]], dtype=torch.float64)
    torch.testing.assert_close(slope, expected)


def test_field_conserves_matter_whatever_was_learned():
    slope = INSTANCE.field(INSTANCE.t[0], INSTANCE.loss.trajectory[-1])
    matter = (slope * torch.tensor(SCALES, dtype=torch.float64)).sum(dim=-1)
    assert matter.abs().max() < 1e-14


def test_steps_are_held_back_by_stability_and_not_by_accuracy():
    def num_steps(rtol):
        counter = CountingField(INSTANCE.field, is_adaptive=True)
        how = adaptive("dopri5", rtol=rtol, atol=rtol / 100, first_step=ROBERTSON.first_step)
        with torch.no_grad():
            METHODS[BASELINE].solver("default")(counter, INSTANCE.y0, INSTANCE.t, how)
        return len(counter.accepted_steps)

    loose, tight = num_steps(1e-2), num_steps(1e-4)
    assert loose > 60
    assert tight < 1.2 * loose
