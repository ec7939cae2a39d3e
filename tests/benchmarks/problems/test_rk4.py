import math

import pytest
import torch

from benchmarks.problems.rk4 import rk4_states

TIMES = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)


def oscillator(y):
    return torch.stack((y[1], -y[0]))


def test_states_are_the_solution_at_the_times():
    start = torch.tensor([0.0, 1.0], dtype=torch.float64)
    states = rk4_states(oscillator, start, times=TIMES, max_step=0.01)
    for t, state in zip(TIMES.tolist(), states, strict=True):
        assert state.tolist() == pytest.approx([math.sin(t), math.cos(t)], abs=1e-9)


def test_error_falls_with_the_fourth_power_of_the_step():
    start = torch.tensor([0.0, 1.0], dtype=torch.float64)
    exact = torch.tensor([math.sin(1), math.cos(1)], dtype=torch.float64)
    errors = [
        (rk4_states(oscillator, start, times=TIMES, max_step=h)[-1] - exact).norm()
        for h in (0.1, 0.05)
    ]
    assert torch.log2(errors[0] / errors[1]).item() == pytest.approx(4.0, abs=0.2)


def test_a_stiff_linear_part_is_solved_exactly():
    linear = torch.tensor([-1e5, 2.0], dtype=torch.float64)
    start = torch.ones(2, dtype=torch.float64)
    states = rk4_states(torch.zeros_like, start, times=TIMES, max_step=0.1, linear=linear)
    assert states[-1][0] == 0
    assert states[-1][1].item() == pytest.approx(math.exp(2.0))


def test_a_linear_part_may_be_given_apart_or_not():
    rate = torch.tensor([-0.5], dtype=torch.float64)
    start = torch.ones(1, dtype=torch.float64)
    apart = rk4_states(torch.sin, start, times=TIMES, max_step=0.01, linear=rate)
    together = rk4_states(lambda y: rate * y + y.sin(), start, times=TIMES, max_step=0.01)
    torch.testing.assert_close(apart[-1], together[-1], rtol=1e-8, atol=0)
