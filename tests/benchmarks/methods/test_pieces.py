"""Solving from jump to jump, for solvers that know of none."""

import torch

from benchmarks.discretization import adaptive
from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.methods import BASELINE, METHODS
from benchmarks.methods.pieces import piece_by_piece
from benchmarks.problems import PROBLEMS

CPU = torch.device("cpu")
BACKPROP = METHODS[BASELINE].solve


def how(jump_t):
    return adaptive("dopri5", rtol=1e-8, atol=1e-10, first_step=0.01, jump_t=jump_t)


def test_pieces_have_the_gradient_and_the_outputs_of_the_whole():
    instance = PROBLEMS["cnf-power"].build("3 x 6-12-6 batch 4", torch.float64, CPU)
    whole = flat_gradient(instance, BACKPROP, how(instance.jump_t))
    pieces = flat_gradient(instance, piece_by_piece(BACKPROP), how(instance.jump_t))
    assert relative_error(pieces, whole) < 1e-6
    times = torch.tensor([0.0, 0.4, 1.0, 1.7, 3.0], dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = (
            solve(instance.field, instance.y0, times, how(instance.jump_t))
            for solve in (piece_by_piece(BACKPROP), BACKPROP)
        )
    for part, expected in zip(ours, theirs, strict=True):
        assert part.shape == expected.shape
        torch.testing.assert_close(part, expected, rtol=1e-6, atol=1e-6)


def test_a_piece_sees_its_own_side_of_the_jump_only():
    seen = []

    class Step(torch.nn.Module):
        def forward(self, t, y):
            seen.append(float(t))
            return torch.where(t < 1, 1.0, -1.0) * torch.ones_like(y)

    y0, t = torch.zeros(1, dtype=torch.float64), torch.tensor([0.0, 2.0], dtype=torch.float64)
    ys = piece_by_piece(BACKPROP)(Step(), y0, t, how((1.0,)))
    assert abs(float(ys[-1])) < 1e-12  # up by one, down by one
    first = seen[: next(i for i, time in enumerate(seen) if time >= 1)]
    assert max(first) < 1
    assert min(seen[len(first) :]) >= 1
