"""Compiled steps that keep their activations: the backward pass is a chain of their transposes."""

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn

import symadj
from symadj import errors
from symadj.forward import differentiable
from symadj.forward.grouping import group_products
from tests.fields import Network, gradient_error

T = torch.tensor([0.0, 0.31, 0.8, 1.7], dtype=torch.float64)
WAYS = {
    "adaptive": {"rtol": 1e-6, "atol": 1e-6},
    "steps at outputs": {"rtol": 1e-6, "atol": 1e-6, "options": {"output": "step"}},
    "fehlberg2": {"method": "fehlberg2", "rtol": 1e-3, "atol": 1e-3},
    "jump": {"rtol": 1e-5, "atol": 1e-5, "options": {"jump_t": [0.5]}},
    "linear": {"method": "rk4", "options": {"step_size": 0.06}},
    "cubic": {"method": "heun3", "options": {"step_size": 0.06, "interp": "cubic"}},
    "outputs at the grid": {"method": "rk4"},
}
CHAINED = set(WAYS) - {"fehlberg2", "jump"}


@pytest.fixture(autouse=True)
def _afresh():
    """No test finds what another one has compiled, and none falls back without a word."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error", errors.CompileFallbackWarning)
        yield


def start(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def solve(field, y0, t=T, *, backend="eager", checkpoints="activations", **arguments):
    options = {**arguments.pop("options", {}), "compile": backend}
    return symadj.solve(field, y0, t, checkpoints=checkpoints, options=options, **arguments)


def gradients(field, y0, **arguments):
    solution = solve(field, y0, **arguments)
    wanted = (y0, *field.parameters())
    return torch.autograd.grad(solution.ys.sin().sum(), wanted), solution


@pytest.mark.parametrize("way", WAYS)
def test_gradients_are_those_of_stages_kept(way):
    field, y0 = Network(), start(4, 3)
    ours, solution = gradients(field, y0, **WAYS[way])
    theirs, kept = gradients(field, y0, checkpoints="stages", **WAYS[way])
    assert len(solution.steps) == len(kept.steps)
    assert gradient_error([solution.ys], [kept.ys]) < 1e-15
    assert gradient_error(ours, theirs) < 1e-12
    stats = solution.stats
    if way in CHAINED:
        assert stats.nfe_backward <= len(T)  # at the start, and at outputs inside of steps
        assert stats.num_snapshots == stats.num_accepted
    else:
        assert stats.nfe_backward == kept.stats.nfe_backward
    assert abs(stats.nvjp - kept.stats.nvjp) <= 1


def test_it_is_exact_beside_backpropagation():
    field, y0 = Network(), start(4, 3)
    ours, solution = gradients(field, y0, rtol=1e-5, atol=1e-5)
    first = solution.steps[0].stretch.h
    torchdiffeq = pytest.importorskip("torchdiffeq")
    ys = torchdiffeq.odeint(field, y0, T, rtol=1e-5, atol=1e-5, options={"first_step": first})
    theirs = torch.autograd.grad(ys.sin().sum(), (y0, *field.parameters()))
    assert gradient_error(ours, theirs) < 1e-12


def test_the_graphs_evaluate_nothing_twice(monkeypatch):
    seen = []

    def look(graph, is_backward):
        targets = [str(node.target) for node in graph.graph.nodes]
        seen.append(sum(name in ("aten.mm.default", "aten.addmm.default") for name in targets))
        return lambda inputs: graph(*inputs)

    monkeypatch.setattr(differentiable, "_interpreted", look)
    net = nn.Sequential(nn.Linear(300, 40), nn.Tanh(), nn.Linear(40, 300)).double()
    y0 = start(64, 300)
    solve(lambda t, y: net(y), y0, T[:2], rtol=1e3, atol=1e3).ys.sum().backward()
    evaluations, layers = 6, 2
    assert seen == [evaluations * layers, 2 * evaluations * layers]  # none is grouped: batch 64


def test_products_are_grouped_where_the_batch_is_small(monkeypatch):
    net = nn.Sequential(nn.Linear(200, 150), nn.Tanh(), nn.Linear(150, 200)).double()
    field, y0 = lambda t, y: net(y), start(5, 200)
    results, counts = [], []
    for group in (group_products, lambda module: None):
        torch._dynamo.reset()
        made = []

        def look(graph, is_backward, made=made):
            made.append(str(graph.graph).count("aten.mm.default"))
            return lambda inputs: graph(*inputs)

        monkeypatch.setattr(differentiable, "group_products", group)
        monkeypatch.setattr(differentiable, "_interpreted", look)
        field = lambda t, y, group=group: net(y)
        differentiable._PAIRS.clear()
        ys = solve(field, y0, T[:2], rtol=1e3, atol=1e3).ys
        results.append(torch.autograd.grad(ys.sin().sum(), (y0, *net.parameters())))
        counts.append(made[1])
    assert counts == [12 + 2, 24]
    assert gradient_error(*results) < 1e-14


def test_more_than_one_backward_pass():
    field, y0 = Network(), start(4, 3)
    loss = solve(field, y0).ys.sin().sum()
    first = torch.autograd.grad(loss, y0, retain_graph=True)
    again = torch.autograd.grad(loss, y0, create_graph=True)
    (second,) = torch.autograd.grad(again[0].square().sum(), y0, retain_graph=True)
    last = torch.autograd.grad(loss, y0)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[0], last[0])
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(loss, y0)
    plain = solve(field, y0, checkpoints="stages").ys.sin().sum()
    (gradient,) = torch.autograd.grad(plain, y0, create_graph=True)
    assert gradient_error([second], torch.autograd.grad(gradient.square().sum(), y0)) < 1e-10


def test_batches_of_cotangents():
    field, y0 = Network(), start(3)
    cotangents = torch.randn(5, 4, 3, dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad(
            solve(field, y0, checkpoints=kept).ys, y0, cotangents, is_grads_batched=True
        )
        for kept in ("activations", "stages")
    )
    assert gradient_error(ours, theirs) < 1e-12


def test_with_a_gradient_of_time_stages_are_kept():
    field, y0, t = Network(), start(4, 3), T.clone().requires_grad_()
    results = []
    for kept in ("activations", "stages"):
        solution = solve(field, y0, t, checkpoints=kept)
        results.append(torch.autograd.grad(solution.ys.sin().sum(), (y0, t)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_where_there_are_no_such_graphs_stages_are_kept(monkeypatch):
    def refuse(*_):
        raise differentiable.UnfitError

    monkeypatch.setattr(differentiable, "compile_pair", refuse)
    field, y0 = Network(), start(4, 3)
    ours, solution = gradients(field, y0)
    theirs, kept = gradients(field, y0, checkpoints="stages")
    assert solution.stats.nfe_backward == kept.stats.nfe_backward
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_where_nothing_can_be_compiled_it_is_said():
    net = Network()

    def field(t, y):
        return net(t, y) if y.sum() < 1e9 else -y

    y0 = start(4, 3)
    with pytest.warns(errors.CompileFallbackWarning):
        ys = solve(field, y0).ys
    plain = symadj.odeint(field, y0, T)
    ours, theirs = (
        torch.autograd.grad(x.sin().sum(), (y0, *net.parameters())) for x in (ys, plain)
    )
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_some_parameters_and_what_is_captured():
    net, scale, y0 = Network(), start(3), start(4, 3)
    field = lambda t, y: net(t, y) * scale
    wanted = (y0, scale, *net.parameters())
    ours, theirs = (
        torch.autograd.grad(solve(field, y0, checkpoints=kept).ys.sum(), wanted)
        for kept in ("activations", "stages")
    )
    assert gradient_error(ours, theirs) < 1e-12
    some = (net.outer.weight,)
    ys = solve(field, y0, adjoint_params=some).ys
    assert gradient_error(torch.autograd.grad(ys.sum(), some), [theirs[4]]) < 1e-12


def test_an_edit_before_the_backward_pass_is_an_error():
    class Shifted(Network):
        def __init__(self):
            super().__init__()
            self.register_buffer("shift", torch.ones(3, dtype=torch.float64))

        def forward(self, t, y):
            return super().forward(t, y) * self.shift

    field, y0 = Shifted(), start(4, 3)
    for edited in (field.shift, field.outer.bias):
        ys = solve(field, y0).ys
        with torch.no_grad():
            edited.add_(0.1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            ys.sum().backward()


@pytest.mark.parametrize("with_backward", [False, True])
def test_nothing_survives(monkeypatch, with_backward):
    refs = []
    take = differentiable.Way.take

    def watch(self, changing):
        result, kept = take(self, changing)
        own = {id(x) for x in self.inputs}
        refs.extend(
            weakref.ref(x) for x in kept.tensors if isinstance(x, torch.Tensor) and id(x) not in own
        )
        return result, kept

    monkeypatch.setattr(differentiable.Way, "take", watch)
    field, y0 = Network(), start(4, 3)
    solve(field, y0).ys.sum().backward()
    refs.clear()
    gc.collect()
    gc.disable()
    try:
        ys = solve(field, y0).ys
        assert len([ref for ref in refs if ref() is not None]) > 10
        if with_backward:
            ys.sum().backward()
            assert [ref for ref in refs if ref() is not None] == []
        del ys
        assert [ref for ref in refs if ref() is not None] == []
    finally:
        gc.enable()


def test_by_the_compiler_itself():
    field, y0 = Network(), start(4, 3)
    ours, solution = gradients(field, y0, backend=True, rtol=1e-6, atol=1e-6)
    theirs, _ = gradients(field, y0, backend="eager", rtol=1e-6, atol=1e-6)
    assert solution.stats.nfe_backward == 1
    assert gradient_error(ours, theirs) < 1e-12


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_second_solve_compiles_nothing(backend, monkeypatch):
    field, y0 = Network(), start(4, 3)
    compiled = []
    compile_pair = differentiable.compile_pair
    monkeypatch.setattr(
        differentiable,
        "compile_pair",
        lambda *args, **kwargs: (compiled.append(1), compile_pair(*args, **kwargs))[1],
    )
    first, _ = gradients(field, y0, backend=backend)
    num_compiled = len(compiled)
    assert num_compiled > 0
    for _ in range(2):
        again, _ = gradients(field, y0, backend=backend)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(compiled) == num_compiled


@pytest.mark.parametrize("is_on", [False, True])
def test_autocast_is_in_force_in_both_passes(is_on):
    field = Network(dtype=torch.float32)
    y0 = torch.randn(4, 3, requires_grad=True)
    found = []
    for checkpoints in ("activations", "stages"):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_on):
            ours, _ = gradients(
                field,
                y0,
                t=T.float(),
                checkpoints=checkpoints,
                method="rk4",
                options={"step_size": 0.1},
            )
        found.append(ours)
    assert gradient_error(*found) < (2e-2 if is_on else 1e-5)
