import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.discretization import adaptive, fixed_grid
from benchmarks.gradient import flat_gradient, forward, relative_error
from benchmarks.meters import CountingField
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS, ProblemInstance
from benchmarks.references import step_gradient, true_gradient

CPU = torch.device("cpu")
BACKPROP = METHODS[BASELINE].solver("default")


class Growth(nn.Module):
    """dy/dt = a y."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def forward(self, t, y):
        return self.rate * y


class FinalSum(nn.Module):
    def forward(self, ys):
        return ys[-1].sum()


def test_true_gradient_of_exponential_growth():
    y0 = torch.tensor([[1.5], [-0.4]], dtype=torch.float64)
    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    instance = ProblemInstance(Growth(), y0, t, FinalSum(), batch_size=2)
    growth = math.exp(1.4)
    expected = torch.tensor([growth, growth, 2.0 * growth * 1.1], dtype=torch.float64)
    assert relative_error(true_gradient(instance, first_step=0.1), expected) < 1e-8


@pytest.mark.parametrize("tableau", ["bosh3", "dopri5", "dopri8"])
def test_step_gradient_takes_the_recorded_steps_again(tableau):
    instance = PROBLEMS["kdv"].build("16 points 2 channels batch 2", torch.float64, CPU)
    how = adaptive(tableau, rtol=1e-4, atol=1e-5, first_step=0.3)
    counter = CountingField(instance.field, is_adaptive=True)
    forward_pass = forward(replace(instance, field=counter), BACKPROP, how)
    expected = flat_gradient(instance, BACKPROP, how)
    assert relative_error(step_gradient(instance, how, counter.accepted_steps), expected) < 1e-13
    del forward_pass
    # Other steps have another gradient, so the agreement above says something.
    (t0, dt), (_, dt1), *rest = counter.accepted_steps
    moved = [(t0, 0.9 * dt), (t0 + 0.9 * dt, dt1 + 0.1 * dt), *rest]
    assert relative_error(step_gradient(instance, how, moved), expected) > 1e-9


def test_step_gradient_of_single_precision_steps_is_in_double_precision():
    instance = PROBLEMS["mlp-size"].build("2-8-2 batch 4", torch.float32, CPU)
    how = fixed_grid("rk4", num_steps=5, duration=2.0)
    gradient = step_gradient(instance, how, [])
    error = relative_error(flat_gradient(instance, BACKPROP, how), gradient)
    assert gradient.dtype == torch.float64
    assert 1e-9 < error < 1e-5
    double = instance.to(torch.float64, CPU)
    # a step at a time, so the parameters' gradients are summed in another order
    assert relative_error(flat_gradient(double, BACKPROP, how), gradient) < 1e-14


def stacked(dtype=torch.float64):
    return PROBLEMS["cnf-power"].build("3 x 6-12-6 batch 4", dtype, CPU)


@pytest.mark.parametrize("tableau", ["bosh3", "dopri5", "dopri8"])
def test_steps_that_end_at_a_jump_are_taken_again(tableau):
    instance = stacked()
    how = adaptive(tableau, rtol=1e-4, atol=1e-5, first_step=0.05, jump_t=instance.jump_t)
    counter = CountingField(instance.field, is_adaptive=True)
    expected = flat_gradient(replace(instance, field=counter), BACKPROP, how)
    gradient = step_gradient(instance, how, counter.accepted_steps)
    assert relative_error(gradient, expected) < 1e-14


def test_true_gradient_of_stacked_blocks_stops_at_outputs_and_jumps_once():
    instance = stacked()
    # an output at every jump, which must not be prescribed twice
    with_outputs = replace(instance, t=torch.arange(4, dtype=torch.float64))
    expected = true_gradient(instance, first_step=0.05)
    assert relative_error(true_gradient(with_outputs, first_step=0.05), expected) < 1e-6
    fine = fixed_grid("rk4", num_steps=300, duration=3.0, jump_t=instance.jump_t)
    assert relative_error(flat_gradient(instance, BACKPROP, fine), expected) < 1e-6


def test_true_gradient_is_as_near_as_its_tolerance_asks():
    instance = PROBLEMS["mlp-size"].build("2-8-2 batch 4", torch.float64, CPU)
    near, far = (true_gradient(instance, 0.05, rtol) for rtol in (1e-8, 1e-3))
    assert 1e-8 < relative_error(far, near) < 1e-2
