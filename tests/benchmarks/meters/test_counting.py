"""Counts of whole solves, against what the tableaus say."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.discretization import adaptive, fixed_grid
from benchmarks.gradient import ForwardPass, forward
from benchmarks.meters import CountingField
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS

CPU = torch.device("cpu")
BACKPROP = METHODS[BASELINE].solver("default")


def counted_gradient(how, *, is_adaptive):
    instance = PROBLEMS["mlp-size"].build("2-8-2 batch 4", torch.float64, CPU)
    counter = CountingField(instance.field, is_adaptive=is_adaptive)
    forward_pass = forward(replace(instance, field=counter), BACKPROP, how)
    counter.phase = "backward"
    counted = forward_pass.gradient()
    plain = forward(instance, BACKPROP, how).gradient()
    assert all(torch.equal(a, b) for a, b in zip(counted, plain, strict=True))
    return counter


class TestCountingField:
    @pytest.mark.parametrize("num_steps", [1, 7])
    def test_rk4_takes_four_evaluations_a_step(self, num_steps):
        how = fixed_grid("rk4", num_steps=num_steps, duration=2.0)
        counter = counted_gradient(how, is_adaptive=False)
        assert counter.nfe == {"forward": 4 * num_steps, "backward": 0}
        assert counter.nvjp == {"forward": 0, "backward": 4 * num_steps}
        assert len(counter.accepted_steps) == num_steps
        assert counter.num_rejected == 0

    def test_rejected_steps_are_evaluated_but_not_differentiated(self):
        how = adaptive("dopri5", rtol=1e-6, atol=1e-8, first_step=1.0)
        counter = counted_gradient(how, is_adaptive=True)
        accepted, rejected = len(counter.accepted_steps), counter.num_rejected
        assert rejected >= 1  # so large a first step cannot do
        assert counter.nfe["forward"] == 1 + 6 * (accepted + rejected)
        assert counter.nvjp == {"forward": 0, "backward": 1 + 6 * accepted}
        assert sum(dt for _, dt in counter.accepted_steps) >= 2.0

    def test_counts_what_happens_in_each_phase(self):
        counter = CountingField(nn.Linear(2, 2), is_adaptive=False)
        counter.field.forward = lambda t, y: t * y
        y = torch.ones(3, 2, requires_grad=True)
        with torch.no_grad():
            counter(torch.tensor(2.0), y)
        counter.phase = "backward"
        slope = counter(torch.tensor(2.0), y)
        counter.callback_step(torch.tensor(0.0), y, torch.tensor(0.5))
        slope.sum().backward()
        assert counter.nfe == {"forward": 1, "backward": 1}
        assert counter.nvjp == {"forward": 0, "backward": 1}
        assert counter.accepted_steps == []
        assert torch.equal(y.grad, torch.full((3, 2), 2.0))

    def test_a_tuple_counts_once(self):
        instance = PROBLEMS["digits-cnf"].build("64-8-64 batch 2", torch.float64, CPU)
        counter = CountingField(instance.field, is_adaptive=True)
        x, logp = instance.y0
        dx, dlogp = counter(instance.t[0], (x.requires_grad_(), logp))
        ForwardPass(dx.sum() + dlogp.sum(), (x,)).gradient()
        assert counter.nfe["forward"] == 1
        assert counter.nvjp == {"forward": 1, "backward": 0}
