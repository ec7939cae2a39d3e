import pytest
import torch
from torch import nn

from benchmarks.problems.cnf.concatsquash import ConcatSquashLinear, ConcatSquashVelocity
from benchmarks.problems.cnf.hutchinson import draw_signs
from benchmarks.problems.cnf.tabular import (
    CNF_BSDS300,
    CNF_GAS,
    CNF_HEPMASS,
    CNF_MINIBOONE,
    CNF_POWER,
    Architecture,
    tabular_flow_problem,
)
from benchmarks.problems.datasets.tabular import MINIBOONE

CPU = torch.device("cpu")


def test_sizes_are_those_of_the_table():
    assert CNF_POWER.published_size == "5 x 6-60-60-60-6 batch 10000"
    assert CNF_GAS.published_size == "5 x 8-160-160-160-8 batch 1000"
    assert CNF_HEPMASS.published_size == "10 x 21-210-210-21 batch 10000"
    assert CNF_MINIBOONE.published_size == "1 x 43-860-860-43 batch 1000"
    assert CNF_BSDS300.published_size == "2 x 63-1260-1260-1260-63 batch 10000"


def test_layer_is_scaled_and_shifted_by_the_time():
    layer = ConcatSquashLinear(3, 5)
    x = torch.randn(4, 3, dtype=torch.float64)
    time = 0.7
    gate = torch.sigmoid(time * layer.gate.weight[:, 0] + layer.gate.bias)
    expected = (x @ layer.linear.weight.mT + layer.linear.bias) * gate
    expected = expected + time * layer.shift.weight[:, 0]
    torch.testing.assert_close(layer(torch.tensor(time, dtype=torch.float64), x), expected)


def test_velocity_has_the_activation_between_its_layers():
    generator = torch.Generator().manual_seed(0)
    velocity = ConcatSquashVelocity((3, 5, 3), nn.Softplus(), 1.0, generator)
    t, x = torch.tensor(0.2, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    first, last = velocity.layers
    torch.testing.assert_close(velocity(t, x), last(t, nn.functional.softplus(first(t, x))))


@pytest.mark.parametrize(
    ("problem", "size", "activation"),
    [
        (CNF_GAS, "1 x 8-9-8 batch 2", nn.Tanh),
        (CNF_HEPMASS, "1 x 21-9-21 batch 2", nn.Softplus),
    ],
)
def test_activation_is_the_tables(problem, size, activation):
    instance = problem.build(size, torch.float64, CPU)
    assert isinstance(instance.field.blocks[0].velocity.activation, activation)


def test_every_flow_has_noise_of_its_own():
    instance = CNF_GAS.build("2 x 8-9-8 batch 2", torch.float64, CPU)
    first, second = (block.noise for block in instance.field.blocks)
    assert first.shape == second.shape == (2, 8)
    assert not torch.equal(first, second)


def test_signs_are_of_either_kind():
    signs = draw_signs((10, 10), torch.Generator().manual_seed(0))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}


def test_the_widths_have_to_be_the_datas():
    with pytest.raises(ValueError, match="state has 8"):
        CNF_GAS.build("2 x 6-12-6 batch 2", torch.float64, CPU)
    with pytest.raises(ValueError, match="<flows> x <widths>"):
        CNF_GAS.build("8-12-8 batch 2", torch.float64, CPU)


def test_a_problem_says_whether_its_data_are_real(monkeypatch, tmp_path):
    best = Architecture(1, 2, 20, "softplus", 1_000)
    monkeypatch.delenv("SYMADJ_DATA", raising=False)
    drawn = tabular_flow_problem("cnf-miniboone", MINIBOONE, best)
    assert (drawn.data, drawn.version) == ("synthetic", "1-synthetic")
    assert "numbers of its shape" in drawn.source
    (tmp_path / "miniboone").mkdir()
    monkeypatch.setenv("SYMADJ_DATA", str(tmp_path))
    real = tabular_flow_problem("cnf-miniboone", MINIBOONE, best)
    assert (real.data, real.version) == ("real", "1-real")
    assert "numbers of its shape" not in real.source
