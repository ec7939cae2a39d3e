"""The same data for every method, nothing held out is trained on, and something can be learned."""

from dataclasses import replace

import pytest
import torch

from benchmarks.gradient import forward
from benchmarks.methods import METHODS
from benchmarks.training.curves import PLANS, Curve
from benchmarks.training.tasks import TASKS
from benchmarks.training.tasks.held_out import split
from benchmarks.training.tasks.task import chosen_samples

SMOKE = PLANS["smoke"]


def made(name, seed=0):
    work = SMOKE.work[name]
    return TASKS[name].make(work.network, work.batch_size, seed)


def parts(y):
    return y if isinstance(y, tuple) else (y,)


def is_same(one, other):
    return all(torch.equal(a, b) for a, b in zip(parts(one.y0), parts(other.y0), strict=True))


def test_every_plan_has_every_task():
    for plan in PLANS.values():
        assert set(plan.work) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_batches_depend_on_seed_and_iteration_only(name):
    one, same, other = made(name), made(name), made(name, seed=1)
    for iteration in (0, 7):
        batch = one.batch(one.trained, iteration)
        assert is_same(batch, same.batch(same.trained, iteration))
        assert not is_same(batch, other.batch(other.trained, iteration))
    assert not is_same(one.batch(one.trained, 0), one.batch(one.trained, 1))
    for weight, twin in zip(one.trained.parameters(), same.trained.parameters(), strict=True):
        assert torch.equal(weight, twin)


@pytest.mark.parametrize("name", TASKS)
def test_what_is_held_out_is_the_same_for_every_seed(name):
    one, other = made(name), made(name, seed=1)
    if name != "odenet":  # whose first layer is the seed's
        assert is_same(one.held_out(one.trained), other.held_out(other.trained))
    assert one.held_out(one.trained).batch_size == one.num_held_out
    assert one.num_held_out == pytest.approx(0.2 * (one.num_train + one.num_held_out), rel=0.1)


def test_a_split_keeps_samples_together_and_apart():
    x = torch.arange(50)
    train, train_twin, held_out, held_out_twin = split(x, 10 * x)
    assert torch.equal(10 * train, train_twin)
    assert torch.equal(10 * held_out, held_out_twin)
    assert torch.equal(torch.cat([train, held_out]).sort().values, x)
    assert len(held_out) == 10


def test_an_epoch_sees_every_sample_once_and_the_next_in_another_order():
    first, second = (
        torch.cat([chosen_samples(12, 4, 0, 3 * epoch + i) for i in range(3)]) for epoch in (0, 1)
    )
    for epoch in (first, second):
        assert torch.equal(epoch.sort().values, torch.arange(12))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", TASKS)
def test_the_gradient_goes_to_what_is_trained_and_leads_down(name):
    data, task = made(name), TASKS[name]
    weights = list(data.trained.parameters())

    def loss_and_gradient():
        instance = data.batch(data.trained, 0)
        how = Curve("symadj", "grid", "float64").discretization(task, instance, 2)
        forward_pass = forward(instance, METHODS["symadj"].solver("default"), how)
        inputs = (*forward_pass.inputs, *instance.loss.parameters())
        forward_pass = replace(forward_pass, inputs=inputs)
        return float(forward_pass.loss.detach()), forward_pass.gradient()[-len(weights) :]

    before, gradient = loss_and_gradient()
    length = torch.cat([part.flatten() for part in gradient]).square().sum()
    expected = 1e-6 * abs(before)
    with torch.no_grad():
        for weight, part in zip(weights, gradient, strict=True):
            weight.sub_(part, alpha=expected / float(length))
    after, _ = loss_and_gradient()
    assert before - after == pytest.approx(expected, rel=0.05)  # to first order
