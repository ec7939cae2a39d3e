import math

import pytest
import torch
from sklearn.datasets import load_digits

from benchmarks.problems.digits import (
    DIGITS_CLASSIFIER,
    DIGITS_CNF,
    NegativeLogLikelihood,
    digits,
)

CPU = torch.device("cpu")


def test_digits_are_scikit_learns():
    images, labels = digits()
    expected_images, expected_labels = load_digits(return_X_y=True)
    assert torch.equal(images, torch.from_numpy(expected_images))
    assert labels.tolist() == expected_labels.tolist()


def test_digits_are_the_real_ones():
    images, labels = digits()
    assert images.shape == (1797, 64)
    assert images.min() == 0
    assert images.max() == 16
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_classifier_starts_from_scaled_pixels_of_different_digits():
    instance = DIGITS_CLASSIFIER.build("64-8-64 batch 100", torch.float64, CPU)
    assert instance.y0.shape == (100, 64)
    assert instance.y0.max() == 1
    images, labels = digits()
    found = [(images / 16 == row).all(dim=1).nonzero().item() for row in instance.y0]
    assert len(set(found)) == 100
    assert torch.equal(labels[found], instance.loss.labels)


def test_a_larger_batch_than_there_are_digits_is_refused():
    with pytest.raises(ValueError, match="more than the 1797"):
        DIGITS_CLASSIFIER.build("64-8-64 batch 1798", torch.float64, CPU)


def test_flow_estimates_the_trace_with_its_noise():
    instance = DIGITS_CNF.build("64-8-64 batch 2", torch.float64, CPU)
    field, (x, logp), t = instance.field, instance.y0, instance.t[1]
    dx, dlogp = field(t, (x, logp))
    assert torch.equal(dx, field.velocity(t, x))
    for i in range(2):
        jacobian = torch.autograd.functional.jacobian(
            lambda row: field.velocity(t, row[None])[0], x[i]
        )
        expected = -field.noise[i] @ jacobian @ field.noise[i]
        assert dlogp[i].item() == pytest.approx(expected.item(), rel=1e-12)
    assert set(field.noise.unique().tolist()) == {-1.0, 1.0}


def test_flow_starts_from_dequantised_digits():
    instance = DIGITS_CNF.build("64-8-64 batch 20", torch.float64, CPU)
    x, logp = instance.y0
    ink = (torch.sigmoid(x) - 0.05) / 0.9 * 17
    assert ink.floor().min() >= 0
    assert ink.floor().max() <= 16
    assert ((ink.floor()[:, 0]) == 0).all()  # the digits' corner is white
    assert torch.equal(logp, torch.zeros(20, dtype=torch.float64))


def test_loss_of_a_flow_at_the_origin_is_the_normal_entropy_term():
    x = torch.zeros(2, 3, 64)
    logp = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    loss = NegativeLogLikelihood()((x, logp))
    assert loss.item() == pytest.approx(32 * math.log(2 * math.pi) + 2.0)
