"""How the one autograd.Function behaves among torch's own."""

import gc
import weakref

import pytest
import torch

import symadj
from tests.fields import Network

T = torch.tensor([0.0, 0.6, 1.0], dtype=torch.float64)


def solve_with(field, y0, **arguments):
    return symadj.odeint(field, y0, T, rtol=1e-4, atol=1e-4, **arguments)


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_a_second_backward_with_retain_graph(checkpoints):
    field = Network()
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    loss = solve_with(field, y0, checkpoints=checkpoints).pow(2).sum()
    inputs = (y0, *field.parameters())
    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    second = torch.autograd.grad(loss, inputs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, inputs)


def test_parameters_edited_before_the_backward_pass_are_noticed():
    field = Network()
    loss = solve_with(field, torch.randn(3, dtype=torch.float64)).sum()
    with torch.no_grad():
        field.inner.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_an_initial_state_edited_before_the_backward_pass_is_noticed():
    y0 = torch.randn(3, dtype=torch.float64)
    loss = solve_with(Network(), y0).sum()
    y0.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_accumulate_over_solves_and_through_other_layers():
    field, layer = Network(), torch.nn.Linear(2, 3, dtype=torch.float64)
    x = torch.randn(4, 2, dtype=torch.float64)
    for _ in range(2):
        solve_with(field, layer(x))[-1].sum().backward()
    twice = [p.grad.clone() for p in (*field.parameters(), *layer.parameters())]
    for p in (*field.parameters(), *layer.parameters()):
        p.grad = None
    solve_with(field, layer(x))[-1].sum().backward()
    for p, total in zip((*field.parameters(), *layer.parameters()), twice, strict=True):
        torch.testing.assert_close(2 * p.grad, total)


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
@pytest.mark.parametrize("with_backward", [False, True])
def test_nothing_survives(checkpoints, with_backward):
    """Without the cycle collector: reference counts alone must free all of a solve."""

    class Watched(Network):
        def forward(self, t, y):
            slope = super().forward(t, y)
            seen.append(weakref.ref(y))
            seen.append(weakref.ref(slope))
            return slope

    seen: list[weakref.ref[torch.Tensor]] = []
    field = Watched()
    gc.collect()
    gc.disable()
    try:
        y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
        solution = symadj.solve(field, y0, T, checkpoints=checkpoints, rtol=1e-4, atol=1e-4)
        outputs = weakref.ref(solution.ys)
        if with_backward:
            solution.ys.sum().backward()
        del solution
        assert outputs() is None
        assert len(seen) > 20
        assert [ref() for ref in seen if ref() is not None] == []
    finally:
        gc.enable()


def test_snapshots_are_freed_by_the_backward_pass_though_the_outputs_live_on():
    freed: list[int] = []

    class Held:
        def __init__(self, tensor):
            self.tensor = tensor

        def __del__(self):
            freed.append(1)

    field, y0 = Network(), torch.randn(3, dtype=torch.float64)
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        ys = solve_with(field, y0)
    before = len(freed)  # of the first evaluation's graph, which shows what f captures
    ys.sum().backward()
    assert len(freed) - before > 5  # the states of all the steps, the parameters, the initial state


def test_saved_states_can_be_offloaded_by_torchs_own_hooks():
    field, y0 = Network(), torch.randn(3, dtype=torch.float64)
    plain = torch.autograd.grad(solve_with(field, y0).sum(), tuple(field.parameters()))
    with torch.autograd.graph.save_on_cpu():
        loss = solve_with(field, y0).sum()
    offloaded = torch.autograd.grad(loss, tuple(field.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(plain, offloaded, strict=True))


def test_the_gradient_is_repeatable_to_the_bit():
    field, y0 = Network(), torch.randn(50, 3, dtype=torch.float64)
    runs = [
        torch.autograd.grad(solve_with(field, y0).sum(), tuple(field.parameters()))
        for _ in range(3)
    ]
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))
