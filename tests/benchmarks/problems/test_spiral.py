import pytest
import torch
import torchdiffeq

from benchmarks.problems.spiral import MATRIX, SPIRAL, spiral_path

CPU = torch.device("cpu")


def test_path_solves_the_cubic_equation():
    times, path = spiral_path()
    assert path.shape == (1000, 2)
    matrix = torch.tensor(MATRIX, dtype=torch.float64)
    start = torch.tensor([2.0, 0.0], dtype=torch.float64)
    expected = torchdiffeq.odeint(
        lambda t, y: y**3 @ matrix,
        start,
        times[:200],
        rtol=1e-10,
        atol=1e-12,
        method="dopri8",
        options={"step_t": times[1:200]},  # no interpolation, which is less accurate
    )
    assert (path[:200] - expected).abs().max() < 1e-6


def test_samples_are_different_pieces_of_the_path():
    instance = SPIRAL.build("2-4-2 batch 50", torch.float64, CPU)
    times, path = spiral_path()
    pieces = instance.loss.trajectory
    assert pieces.shape == (10, 50, 2)
    assert torch.equal(instance.y0, pieces[0])
    assert torch.equal(instance.t, times[:10])
    starts = [(path == y).all(dim=1).nonzero().item() for y in instance.y0]
    assert len(set(starts)) == 50
    assert torch.equal(pieces[-1], path[torch.tensor(starts) + 9])


def test_field_is_a_network_of_the_cubes():
    instance = SPIRAL.build("2-4-2 batch 5", torch.float64, CPU)
    field, y = instance.field, instance.y0
    assert torch.equal(field(instance.t[0], y), field.network(y**3))


def test_loss_is_the_mean_deviation():
    instance = SPIRAL.build("2-4-2 batch 5", torch.float64, CPU)
    shifted = instance.loss.trajectory - 0.25
    assert instance.loss(shifted).item() == pytest.approx(0.25)


def test_a_larger_batch_than_there_are_pieces_is_refused():
    with pytest.raises(ValueError, match="more than the 990 pieces"):
        SPIRAL.build("2-4-2 batch 991", torch.float64, CPU)
