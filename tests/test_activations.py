"""checkpoints="activations": the graph of every evaluation is kept, and nothing is made again."""

import gc
import itertools
import re
import weakref

import pytest
import torch
from torch import nn

import symadj
from symadj import errors
from tests.fields import Flow, HamiltonianNetwork, Network

T = torch.tensor([0.0, 0.31, 0.8, 1.7], dtype=torch.float64)
TOLERANCES = {"rtol": 1e-5, "atol": 1e-5}


def same(left, right):
    pairs = zip(left, right, strict=True)
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


def start(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


class Counting(Network):
    """Counts its evaluations."""

    calls = 0

    def forward(self, t, y):
        self.calls += 1
        return super().forward(t, y)


class Alive:
    """Counts the graphs that are alive, by what each of them holds."""

    def __init__(self):
        self.refs = []
        self.seen_going_back = []

    def count(self):
        return sum(ref() is not None for ref in self.refs)


class Token:
    """Held by a graph."""


class Marked(torch.autograd.Function):
    """The identity, whose graph can be seen to live."""

    @staticmethod
    def forward(ctx, x, alive):
        ctx.token, ctx.alive = Token(), alive
        alive.refs.append(weakref.ref(ctx.token))
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.alive.seen_going_back.append(ctx.alive.count())
        return gradient, None


def marked(field):
    alive = Alive()
    return alive, lambda t, y: Marked.apply(field(t, y), alive)


@pytest.mark.parametrize("arguments", [TOLERANCES, {"method": "rk4"}], ids=["adaptive", "grid"])
def test_the_backward_pass_evaluates_nothing(arguments):
    field, y0 = Counting(), start(4, 3)
    solution = symadj.solve(field, y0, T, checkpoints="activations", **arguments)
    forward, field.calls = field.calls, 0
    assert forward == solution.stats.nfe_forward
    solution.ys.sin().sum().backward()
    stats = solution.stats
    assert field.calls == stats.nfe_backward == stats.num_replayed == stats.num_replayed_steps == 0
    stages = 6 if "rtol" in arguments else 4
    assert stats.nvjp == stages * stats.num_accepted + ("rtol" in arguments)  # an end slope's
    plain = symadj.solve(field, y0, T, **arguments)
    assert forward == plain.stats.nfe_forward
    assert stats.num_snapshots == plain.stats.num_snapshots


def test_graphs_of_rejected_steps_go_at_once_and_others_as_the_sweep_passes():
    net, y0 = Network(), start(3)
    alive, field = marked(lambda t, y: 10 * net(t, y))
    options = {"first_step": 1.5}
    gc.collect()
    gc.disable()
    try:
        solution = symadj.solve(
            field, y0, T[[0, -1]], checkpoints="activations", options=options, **TOLERANCES
        )
        steps = solution.stats.num_accepted
        assert solution.stats.num_rejected > 0
        assert 6 * steps <= alive.count() <= 6 * steps + 1  # the last end slope's
        count = alive.count()
        solution.ys[-1].sum().backward()
        assert alive.count() == 0
    finally:
        gc.enable()
    assert alive.seen_going_back == list(range(count, count - len(alive.seen_going_back), -1))


def test_graphs_that_may_be_wanted_again_stay():
    alive, field = marked(Network())
    y0 = start(3)
    loss = symadj.odeint(field, y0, T, method="rk4", checkpoints="activations").sin().sum()
    count = alive.count()
    assert count == 12
    first = torch.autograd.grad(loss, y0, retain_graph=True)
    assert alive.count() == count
    second = torch.autograd.grad(loss, y0)
    assert alive.count() == 0
    assert same(first, second)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, y0)


def test_second_derivatives_are_those_of_every_plan():
    field, y0 = Network(), start(4, 3)
    results = []
    for choice in (None, "activations"):
        loss = symadj.odeint(field, y0, T, checkpoints=choice, **TOLERANCES).sin().sum()
        params = tuple(field.parameters())
        first = torch.autograd.grad(loss, (y0, *params), create_graph=True)
        again = torch.autograd.grad(loss, (y0, *params), retain_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), (y0, *params))
        results.append([*first, *again, *second])
    assert same(*results)


def test_batches_of_cotangents():
    field, y0 = Network(), start(3)
    cotangents = torch.randn(5, 4, 3, dtype=torch.float64)
    results = []
    for choice in (None, "activations"):
        ys = symadj.odeint(field, y0, T, checkpoints=choice, **TOLERANCES)
        for is_kept in (True, False):
            found = torch.autograd.grad(
                ys, y0, cotangents, is_grads_batched=True, retain_graph=is_kept
            )
            results.append(found)
    assert all(same(results[0], result) for result in results)


@pytest.mark.parametrize("share", ["all", "y0", "params", "t"])
def test_gradients_of_some_inputs_only(share):
    field, y0, t = Network(), start(4, 3), T.clone().requires_grad_()
    inputs = {"y0": (y0,), "params": tuple(field.parameters()), "t": (t,)}
    wanted = sum(inputs.values(), ()) if share == "all" else inputs[share]
    results = []
    for choice in (None, "activations"):
        ys = symadj.odeint(field, y0, t, checkpoints=choice, **TOLERANCES)
        results.append(torch.autograd.grad(ys.sin().sum(), wanted))
    assert same(*results)


class Oscillator(nn.Module):
    """Position and velocity in a dict, with a third part that nothing reads."""

    def __init__(self):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, t, state):
        force = -self.stiffness * state["x"]
        return {"x": state["v"], "v": force, "idle": torch.zeros_like(state["idle"])}


def dict_state():
    return {"x": start(2), "v": start(2), "idle": start(1)}


STATES = {
    "dict": (Oscillator, dict_state),
    "tuple": (Flow, lambda: (start(4, 2), start(4))),
    "differentiates": (HamiltonianNetwork, lambda: start(5, 4)),
}


@pytest.mark.parametrize("case", STATES)
def test_states_of_several_parts_and_fields_that_differentiate(case):
    make, begin = STATES[case]
    field, y0 = make(), begin()
    parts = torch.utils._pytree.tree_leaves(y0)
    results = []
    for choice in (None, "activations"):
        ys = symadj.odeint(field, y0, T, checkpoints=choice, **TOLERANCES)
        loss = sum(part.sin().sum() for part in torch.utils._pytree.tree_leaves(ys))
        wanted = (*parts, *field.parameters())
        results.append(torch.autograd.grad(loss, wanted, allow_unused=True))
    assert same(*results)


def test_complex_states_args_and_what_is_captured():
    rate = torch.tensor(0.3 - 0.7j, dtype=torch.complex128, requires_grad=True)
    given = start(3)
    shift = given.square()  # computed before
    y0 = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    results = []
    for choice in (None, "activations"):
        field = lambda t, y, s: rate * y + torch.sin(t) * s
        ys = symadj.odeint(field, y0, T, args=(shift,), checkpoints=choice, **TOLERANCES)
        loss = ys.abs().square().sum()
        results.append(torch.autograd.grad(loss, (y0, rate, given), retain_graph=True))
    assert same(*results)


def test_what_f_reads_is_looked_for_as_ever():
    y0, weight = start(3), start(3)
    late = {"weight": start(3)}
    hidden = lambda t: late["weight"] if t > 0.5 else 1.0
    computed = weight.square()
    holder = [(((((((computed,),),),),),),)]

    def dig():
        held = holder
        while not isinstance(held, torch.Tensor):
            held = held[0]
        return held

    with pytest.raises(errors.CapturedTensorError, match="computed before"):
        symadj.odeint(lambda t, y: -y * dig(), y0, T, checkpoints="activations")
    results = []
    for choice in (None, "activations"):  # read by later evaluations only
        ys = symadj.odeint(lambda t, y: -y * hidden(t), y0, T, checkpoints=choice, **TOLERANCES)
        results.append(torch.autograd.grad(ys.sum(), (y0, late["weight"])))
    assert same(*results)
    deep = [[[[[[[[weight]]]]]]]]

    def read(t):
        held = deep
        while t > 0.5 and not isinstance(held, torch.Tensor):
            held = held[0]
        return held if t > 0.5 else 1.0

    ys = symadj.odeint(lambda t, y: -y * read(t), y0, T, checkpoints="activations", **TOLERANCES)
    with pytest.raises(errors.CapturedTensorError, match="did not read at first"):
        ys.sum().backward()


@pytest.mark.parametrize("named", [0, 1])
def test_some_parameters_or_none(named):
    field, y0 = Network(), start(4, 3)
    params = tuple(field.parameters())[:named]
    results = []
    for choice in (None, "activations"):
        ys = symadj.odeint(field, y0, T, adjoint_params=params, checkpoints=choice, **TOLERANCES)
        results.append(torch.autograd.grad(ys.sum(), (y0, *params)))
    assert same(*results)


def test_random_numbers_are_drawn_once():
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)).double()
    y0, results = start(4, 3), []
    for choice in (None, "activations"):
        torch.manual_seed(5)
        ys = symadj.odeint(lambda t, y: net(y), y0, T, method="rk4", checkpoints=choice)
        state = torch.get_rng_state()
        loss = ys.sin().sum()
        found = torch.autograd.grad(loss, (y0, *net.parameters()), create_graph=True)
        assert torch.equal(torch.get_rng_state(), state)
        second = torch.autograd.grad(found[0].square().sum(), tuple(net.parameters()))
        results.append([ys.detach(), *found, *second])
    assert same(*results)


def test_buffers_are_changed_by_the_solve_alone():
    net = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)).double()
    ys = symadj.odeint(lambda t, y: net(y), start(4, 3), T, method="rk4", checkpoints="activations")
    before = [buffer.clone() for buffer in net.buffers()]
    ys.sum().backward()
    assert same(before, tuple(net.buffers()))


def test_under_autocast():
    net, y0 = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8)), torch.randn(4, 8)
    y0.requires_grad_()
    results = []
    for choice in (None, "activations"):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ys = symadj.odeint(lambda t, y: net(y), y0, T.float(), method="rk4", checkpoints=choice)
        results.append([ys.detach(), *torch.autograd.grad(ys.sum(), (y0, *net.parameters()))])
    assert same(*results)


def test_a_parameter_edited_before_the_backward_pass_is_an_error():
    field, y0 = Network(), start(4, 3)
    for edit in (field.inner.weight, field.outer.bias):
        ys = symadj.odeint(field, y0, T, checkpoints="activations", **TOLERANCES)
        with torch.no_grad():
            edit.mul_(1.1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            ys.sum().backward()


def test_hooks_of_parameters_see_the_whole_gradient():
    field, y0, seen = Network(), start(4, 3), []
    handle = field.outer.bias.register_hook(lambda gradient: seen.append(gradient.clone()))
    symadj.odeint(field, y0, T, checkpoints="activations", **TOLERANCES).sum().backward()
    handle.remove()
    assert same(seen, [field.outer.bias.grad])


def test_events():
    field, results = Network(), []
    y0, t0 = start(3), torch.tensor(0.0, dtype=torch.float64, requires_grad=True)
    level = y0.detach()[0] + 0.05 * field(T[0], y0.detach())[0].detach()
    for choice in (None, "activations"):
        time, ys = symadj.odeint_event(
            field, y0, t0, event_fn=lambda t, y: y[0] - level, checkpoints=choice
        )
        loss = time + ys.sin().sum()
        results.append(torch.autograd.grad(loss, (y0, t0, *field.parameters())))
    assert same(*results)


@pytest.mark.parametrize(
    "arguments", [TOLERANCES, {"method": "heun3", "options": {"step_size": 0.1}}]
)
def test_each_call_of_a_dense_output_has_a_backward_pass(arguments):
    field, y0, results = Network(), start(3), []
    asked = torch.tensor([0.4, 1.3], dtype=torch.float64, requires_grad=True)
    alive, seen = marked(field)
    for choice in (None, "activations"):
        alive.refs.clear()
        trajectory = symadj.odeint_dense(seen, y0, 0.0, 1.7, checkpoints=choice, **arguments)
        losses = [trajectory(asked).sum(), trajectory(asked * 1.1).sin().sum()]
        wanted = (y0, asked, *field.parameters())
        results.append([g for loss in losses for g in torch.autograd.grad(loss, wanted)])
    assert alive.count() > 0
    del trajectory, losses
    assert alive.count() == 0
    assert same(*results)


@pytest.mark.parametrize(
    "choice",
    [
        {"offload": "disk"},
        {"offload": "host"},
        {"options": {"graphs": 2}},
        {"options": {"snapshot_dtype": torch.float32}},
    ],
    ids=str,
)
def test_what_is_for_states_only(choice):
    with pytest.raises(errors.InvalidInputError, match=re.escape("save_on_cpu")):
        symadj.odeint(Network(), start(3), T, checkpoints="activations", **choice)


def test_implicit_methods_keep_none():
    with pytest.raises(errors.UnsupportedError, match="stages"):
        symadj.odeint(Network(), start(3), T, method="trbdf2", checkpoints="activations")


def test_torchs_own_hooks_put_them_elsewhere():
    field, y0 = Network(), start(4, 3)
    wanted = (y0, *field.parameters())
    packed = itertools.count()

    def pack(x):
        next(packed)
        return x.clone()

    plain = symadj.odeint(field, y0, T, **TOLERANCES)
    reference = torch.autograd.grad(plain.sum(), wanted)
    with torch.autograd.graph.save_on_cpu():
        ys = symadj.odeint(field, y0, T, checkpoints="activations", **TOLERANCES)
    assert same(torch.autograd.grad(ys.sum(), wanted), reference)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        solution = symadj.solve(field, y0, T, checkpoints="activations", **TOLERANCES)
    assert next(packed) > 6 * solution.stats.num_accepted
    assert same(torch.autograd.grad(solution.ys.sum(), wanted), reference)


def test_without_a_gradient_no_graph_is_made():
    seen = []

    def field(t, y):
        seen.append((-y).requires_grad)
        return -y

    with torch.no_grad():
        symadj.odeint(field, start(3), T, checkpoints="activations")
    assert not any(seen)
    symadj.odeint(field, start(3), T, checkpoints="activations")
    assert any(seen)
