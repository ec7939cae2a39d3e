"""MALI: order 2, reversible, and the exact gradient of its own steps."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from benchmarks.discretization import fixed_grid
from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.meters import CountingField, peak_bytes
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS

CPU = torch.device("cpu")
MALI = METHODS["mali"].solve


def leapfrog(field, y0, t, how):
    """The same steps for a single tensor, written plainly, for autograd to go through."""
    h = how.options["step_size"]
    v = field(t[0], y0)
    z, ys = y0, [y0]
    for start, stop in zip(t[:-1].tolist(), t[1:].tolist(), strict=True):
        num_steps = round((stop - start) / h)
        for n in range(num_steps):
            middle = z + h / 2 * v
            v = 2 * field(torch.tensor(start + (n + 0.5) * h, dtype=z.dtype), middle) - v
            z = middle + h / 2 * v
        ys.append(z)
    return torch.stack(ys)


class SumOfSquares(nn.Module):
    def forward(self, ys):
        return ys.square().sum()


def in_steps(step_size):
    return METHODS["mali"].calibrate(fixed_grid("rk4", num_steps=2, duration=1.0), step_size)


@pytest.mark.parametrize("name", ["digits-classifier", "kdv"])
def test_gradient_is_that_of_autograd_through_the_same_steps(name):
    size = {"digits-classifier": "64-8-64 batch 4", "kdv": "16 points 2 channels batch 2"}[name]
    instance = replace(PROBLEMS[name].build(size, torch.float64, CPU), loss=SumOfSquares())
    how = in_steps(0.125)
    expected = flat_gradient(instance, leapfrog, how)
    assert relative_error(flat_gradient(instance, MALI, how), expected) < 1e-11


def test_it_is_of_order_two():
    instance = PROBLEMS["digits-classifier"].build("64-8-64 batch 4", torch.float64, CPU)
    exact = flat_gradient(
        instance, METHODS[BASELINE].solve, fixed_grid("rk4", num_steps=200, duration=1.0)
    )
    coarse, fine = (
        relative_error(flat_gradient(instance, MALI, in_steps(h)), exact) for h in (0.02, 0.01)
    )
    assert 3.5 < coarse / fine < 4.5


def test_nothing_is_kept_of_the_steps():
    instance = PROBLEMS["digits-classifier"].build("64-8-64 batch 64", torch.float32, CPU)
    few, many = (
        peak_bytes(partial(flat_gradient, instance, MALI, in_steps(h)), CPU).cpu
        for h in (1 / 10, 1 / 200)
    )
    state = 64 * 64 * 4
    # of 190 steps more there is only what Python has not collected yet, 0.4 KiB a step
    assert (many - few) / 190 < state / 16


def test_one_evaluation_a_step_and_stacked_blocks_begin_anew():
    instance = PROBLEMS["cnf-power"].build("3 x 6-12-6 batch 4", torch.float64, CPU)
    how = METHODS["mali"].calibrate(
        fixed_grid("rk4", num_steps=3, duration=3.0, jump_t=instance.jump_t), 0.1
    )
    assert "step_size" in how.options
    single = PROBLEMS["digits-classifier"].build("64-8-64 batch 4", torch.float64, CPU)
    counter = CountingField(single.field, is_adaptive=False)
    flat_gradient(replace(single, field=counter), MALI, in_steps(0.1))
    assert sum(counter.nfe.values()) == 2 * (1 + 10)
    assert len(counter.accepted_steps) == 10
