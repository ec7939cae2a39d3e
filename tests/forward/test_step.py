"""One step: the formulas of its tableau, and what is told of its stages."""

import pytest
import torch

from symadj.forward.field import Field
from symadj.forward.slopes import make_slopes
from symadj.forward.step import implicit_rk_step, rk_step
from symadj.forward.weights import Weights
from symadj.state import Packing
from symadj.tableaus import TABLEAUS

H = 0.1


def func(t, y):
    return torch.sin(t + 1) - 0.7 * y * y


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("method", TABLEAUS)
def test_stages_and_step_meet_their_equations(method, wanted):
    """Y_i = y + h Σ_j a_ij f(t + c_i h, Y_j), for all that is told, and y_{n+1} likewise."""
    tableau, y = TABLEAUS[method], torch.tensor([0.5, -0.3], dtype=torch.float64)
    field, weights = Field(func, Packing.of(y)), Weights(tableau, y)
    weights.scale(H)
    slopes = make_slopes(y, weights)
    times = [torch.tensor(2.0 + float(c) * H, dtype=torch.float64) for c in tableau.c]
    told = {0: y} if tableau.is_explicit else {}

    def keep_state(i, state):
        assert i == len(told)
        told[i] = state.clone()

    keep = keep_state if wanted else None
    if tableau.is_explicit:
        slopes.put(0, field(times[0], y))
        y1 = rk_step(field, slopes, y, times, keep)
        assert field.nfe == tableau.num_evaluations
    else:
        y1 = implicit_rk_step(field, tableau, slopes, y, times, H, keep)
    assert y1 is not None
    states = [told[i] for i in range(tableau.num_evaluations)] if wanted else []
    k = [func(t, state) for t, state in zip(times, states, strict=False)]
    for row, state in zip(tableau.rows, states, strict=False):
        made = y + H * sum((float(a) * slope for a, slope in zip(row, k, strict=False)), 0 * y)
        torch.testing.assert_close(state, made, rtol=1e-11, atol=1e-11)
    own = list(slopes.k[: tableau.num_evaluations])
    if wanted:
        torch.testing.assert_close(torch.stack(own), torch.stack(k), rtol=1e-10, atol=1e-10)
    made = y + H * sum(float(b) * slope for b, slope in zip(tableau.weights, own, strict=False))
    torch.testing.assert_close(y1, made, rtol=1e-14, atol=1e-14)
