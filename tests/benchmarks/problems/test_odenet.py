import torch

from benchmarks.problems.digits import digits
from benchmarks.problems.odenet import ODENET

CPU = torch.device("cpu")
INSTANCE = ODENET.build("64 channels batch 6", torch.float64, CPU)


def test_state_is_that_of_the_publication():
    assert INSTANCE.y0.shape == (6, 64, 6, 6)


def test_block_normalises_rectifies_and_convolves():
    field, x, t = INSTANCE.field, INSTANCE.y0, torch.tensor(0.5, dtype=torch.float64)
    hidden = field.convolutions[0](t, field.norms[0](x).relu())
    hidden = field.convolutions[1](t, field.norms[1](hidden).relu())
    assert torch.equal(field(t, x), field.norms[2](hidden))
    assert [norm.num_groups for norm in field.norms] == [32, 32, 32]
    assert not torch.equal(field(t, x), field(2 * t, x))


def test_stem_and_head_are_outside_the_gradient():
    assert not INSTANCE.y0.requires_grad
    assert not any(parameter.requires_grad for parameter in INSTANCE.loss.parameters())


def test_loss_is_the_cross_entropy_of_real_labels():
    ys = torch.stack((INSTANCE.y0, INSTANCE.y0))
    logits = INSTANCE.loss.head(INSTANCE.y0)
    assert logits.shape == (6, 10)
    expected = torch.logsumexp(logits, dim=1) - logits[torch.arange(6), INSTANCE.loss.labels]
    torch.testing.assert_close(INSTANCE.loss(ys), expected.mean())
    assert set(INSTANCE.loss.labels.tolist()) <= set(digits()[1].tolist())
