"""Steps as compiled graphs: the same mathematics, one graph for all steps, and never wrong.

The backend "eager" traces as any other does and runs what was traced as it is, which takes no
compiler and little time; one test compiles in earnest.
"""

import functools
import gc
import shutil
import sys
import warnings
import weakref

import pytest
import torch
from torch import nn

import symadj.adjoint.compiled
from symadj import odeint, odeint_dense, solve
from symadj.adjoint.crossing import Crossing
from symadj.captured import CapturedTensors
from symadj.errors import (
    CapturedTensorError,
    CompileFallbackWarning,
    InvalidInputError,
    MaxStepsError,
    NonFiniteError,
    SolveError,
    UnsupportedError,
)
from symadj.forward.compiled import graphs_of
from symadj.forward.guards import GuardedFunction
from symadj.forward.nativeruns import NativeRun
from tests.fields import Flow, HamiltonianNetwork, Network, gradient_error
from tests.oracle import outputs_along

pytestmark = pytest.mark.skipif(
    not hasattr(torch._dynamo.config, "side_effect_replay_policy"),
    reason="compiled steps need torch 2.13 or later",
)

DTYPE = torch.float64
TRACED = {"compile": "eager"}


def problem(*shape):
    y0 = torch.randn(*(shape or (4, 3)), dtype=DTYPE, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 4, dtype=DTYPE, requires_grad=True)
    return y0, t


def weighted(ys):
    return sum(
        (part * torch.linspace(1.0, 2.0, part.numel(), dtype=part.dtype).view_as(part)).sum()
        for part in torch.utils._pytree.tree_leaves(ys)
    )


def gradients(ys, inputs):
    return torch.autograd.grad(
        weighted(ys), inputs, retain_graph=True, allow_unused=True, materialize_grads=True
    )


def check_exact(func, y0, t, params, *, method="dopri5", options=None, args=(), **kwargs):
    """Hold a compiled solve to backpropagation through the steps that it took."""
    options = {**TRACED, "step_size": 0.2, **(options or {})}
    if method in ("dopri5", "dopri8", "bosh3"):
        del options["step_size"]
    solution = solve(func, y0, t, method=method, options=options, args=args, **kwargs)
    inputs = (*torch.utils._pytree.tree_leaves(y0), t, *params)
    found = gradients(solution.ys, inputs)
    expected = gradients(
        outputs_along(
            lambda time, y: func(time, y, *args),
            y0,
            t,
            solution,
            method=method,
            step_size=options.get("step_size"),
            interp=options.get("interp", "linear"),
        ),
        inputs,
    )
    assert gradient_error(found, expected) < 1e-12
    return solution


@pytest.mark.parametrize(
    ("method", "options", "kwargs"),
    [
        ("dopri5", {}, {}),
        ("dopri5", {}, {"checkpoints": "stages"}),
        ("dopri5", {}, {"checkpoints": 2}),
        ("dopri5", {}, {"offload": "disk"}),
        ("dopri8", {}, {}),
        ("rk4", {}, {}),
        ("heun3", {"interp": "cubic"}, {"checkpoints": "stages"}),
        ("bosh3", {}, {"rtol": 1e-4}),
    ],
)
def test_the_gradient_is_exact_for_the_steps_taken(method, options, kwargs):
    network = Network()
    check_exact(network, *problem(), network.parameters(), method=method, options=options, **kwargs)
    assert graphs_of(network, "eager").num_graphs > 1
    assert graphs_of(network, "eager").failure is None


@pytest.mark.parametrize("kwargs", [{}, {"checkpoints": "stages"}])
def test_each_stage_is_a_graph_of_its_own_where_a_step_is_large(monkeypatch, kwargs):
    monkeypatch.setattr(symadj.adjoint.compiled, "MOST_BYTES", 0)
    monkeypatch.setattr(symadj.adjoint.compiled, "MOST_BYTES_FROM_START", 0)
    network = Network()
    made = []
    for _ in range(2):
        check_exact(network, *problem(), network.parameters(), **kwargs)
        made.append(graphs_of(network, "eager").num_graphs)
    assert made[0] == made[1] > 1
    assert graphs_of(network, "eager").too_large


def test_a_step_of_middle_size_is_made_again_and_transposed_by_two_graphs(monkeypatch):
    monkeypatch.setattr(symadj.adjoint.compiled, "MOST_BYTES_FROM_START", 0)
    network = Network()
    for _ in range(2):
        check_exact(network, *problem(), network.parameters())
    graphs = graphs_of(network, "eager")
    assert {form[0][-1] for form in graphs.too_large} == {"from its start"}
    assert graphs.failure is None


def test_outputs_and_counts_are_those_of_the_plain_solve():
    network, (y0, t) = Network(), problem()
    plain, traced = (solve(network, y0, t, options=options) for options in ({}, TRACED))
    torch.testing.assert_close(traced.ys, plain.ys, rtol=1e-10, atol=1e-12)
    for solution in (plain, traced):
        gradients(solution.ys, (y0,))
    assert traced.stats == plain.stats


def turning(t, y):
    """A field that error control has to try again and again: it turns sharply at t = 0.6."""
    return torch.tanh((t - 0.6) * 80.0) * y.flip(-1) - y


@pytest.mark.parametrize("num_outputs", [3, 60])  # rarely one in a step, or many
@pytest.mark.parametrize("options", [{}, {"step_t": [0.25, 0.9]}, {"max_step": 0.02}])
def test_between_outputs_steps_are_tried_counted_and_kept_as_ever(num_outputs, options):
    y0 = torch.randn(2, 3, dtype=DTYPE, requires_grad=True)
    t = torch.linspace(1.2, 0.0, num_outputs, dtype=DTYPE)
    plain, traced = (
        solve(turning, y0, t, rtol=1e-5, atol=1e-5, options={**options, **more})
        for more in ({}, TRACED)
    )
    assert graphs_of(turning, "eager").failure is None
    assert plain.stats.num_rejected > 3 or "max_step" in options
    for solution in (plain, traced):
        gradients(solution.ys, (y0,))
    assert traced.stats == plain.stats
    torch.testing.assert_close(traced.ys, plain.ys, rtol=1e-10, atol=1e-12)
    for found, expected in zip(traced.steps, plain.steps, strict=True):
        assert tuple(found.stretch) == pytest.approx(tuple(expected.stretch), rel=1e-6)
        assert found[1:3] == expected[1:3]


@pytest.mark.parametrize(
    ("func", "options", "error"),
    [
        (turning, {"max_num_steps": 9}, MaxStepsError),
        (lambda t, y: torch.log(0.5 - t) * y, {}, NonFiniteError),
        (lambda t, y: y**2, {"max_num_steps": 10_000}, SolveError),
    ],
)
def test_a_solve_that_fails_between_outputs_says_what_it_says_without_graphs(func, options, error):
    y0, t = torch.ones(1, 2, dtype=DTYPE), torch.tensor([0.0, 1.3], dtype=DTYPE)
    said = []
    for more in ({}, TRACED):
        with pytest.raises(error) as caught:
            solve(func, y0, t, options={**options, **more})
        said.append(caught.value)
    assert type(said[0]) is type(said[1])
    assert str(said[0]).split("t = ")[0] == str(said[1]).split("t = ")[0]
    assert said[1].t == pytest.approx(said[0].t, rel=1e-6)
    torch.testing.assert_close(said[1].y, said[0].y, rtol=1e-5, atol=0)


def test_guards_that_do_not_hold_any_more_lead_to_another_graph():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = 2.0

        def forward(self, t, y):
            return -self.factor * y

    func, (y0, t) = Scaled(), problem()
    for factor in (2.0, 3.0, 2.0):
        func.factor = factor
        plain, traced = (odeint(func, y0, t, options=options) for options in ({}, TRACED))
        torch.testing.assert_close(traced, plain, rtol=1e-10, atol=1e-12)


def test_torch_is_told_to_compile_nothing():
    network, (y0, t) = Network(), problem()
    with torch.compiler.set_stance("force_eager"):
        eager = odeint(network, y0, t, options=TRACED)
    made = graphs_of(network, "eager").num_graphs
    assert made == 0
    traced = odeint(network, y0, t, options=TRACED)
    assert graphs_of(network, "eager").num_graphs > 0
    torch.testing.assert_close(traced, eager, rtol=1e-10, atol=1e-12)
    with torch.compiler.set_stance("force_eager"):  # nor are those used that there are
        again = odeint(network, y0, t, options=TRACED)
    assert torch.equal(again, eager)


@pytest.mark.parametrize(
    ("method", "options"),
    [("rk4", {"step_size": 0.25, "perturb": True}), ("dopri5", {"jump_t": [0.5]})],
)
def test_f_is_asked_on_the_same_side_of_a_jump(method, options):
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    func = lambda t, y: torch.where(t < 0.5, 1.0, -2.0) * torch.tanh(y @ weight)
    y0, t = problem()
    found, expected = (
        odeint(func, y0, t, method=method, options={**options, **more}) for more in (TRACED, {})
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    assert graphs_of(func, "eager").failure is None


def test_two_compiled_solves_agree_to_the_bit():
    network, (y0, t) = Network(), problem()
    runs = []
    for _ in range(2):
        ys = odeint(network, y0, t, options={"compile": "aot_eager"})
        runs.append((ys, *gradients(ys, (y0, t, *network.parameters()))))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_one_graph_serves_all_steps_and_calls_of_a_shape():
    network, (y0, t) = Network(), problem()

    def run(y0, **options):
        solution = solve(network, y0, t, options={**TRACED, **options})
        gradients(solution.ys, (y0,))
        return len(solution.steps)

    run(y0)
    graphs = graphs_of(network, "eager")
    made = graphs.num_graphs
    assert run(y0 * 2, max_step=0.05) > 15
    assert graphs.num_graphs == made
    run(torch.randn(5, 3, dtype=DTYPE, requires_grad=True))
    # Step, the same transposed from its start, and the end slope where outputs lie inside.
    assert graphs.num_graphs == made + 3


def test_a_function_made_anew_is_not_compiled_anew():
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    y0, t = problem()
    made = []
    for _ in range(3):
        func = lambda t, y: torch.tanh(y @ weight)
        gradients(odeint(func, y0, t, options=TRACED), (y0, weight))
        made.append(graphs_of(func, "eager").num_graphs)
    assert made[0] > 0
    assert made[0] == made[1] == made[2]


def test_parameters_edited_between_calls_are_seen():
    network, (y0, t) = Network(), problem()
    odeint(network, y0, t, options=TRACED)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    ys = odeint(network, y0, t, options=TRACED)
    torch.testing.assert_close(ys, odeint(network, y0, t), rtol=1e-10, atol=1e-12)


def test_graphs_do_not_keep_what_they_are_made_of():
    network, (y0, t) = Network(), problem()
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    func = lambda t, y: network(t, y) @ weight
    for field in (network, func):
        gradients(odeint(field, y0, t, options=TRACED), (y0,))
    alive = [weakref.ref(network), weakref.ref(weight)]
    network = weight = func = field = None
    gc.collect()
    assert [ref() for ref in alive] == [None, None]


def test_every_tensor_that_f_reads_gets_its_gradient():
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    shift = torch.randn(3, dtype=DTYPE, requires_grad=True)
    unused = torch.randn(3, dtype=DTYPE, requires_grad=True)
    computed, given = weight * 2.0, {"shift": shift * 2.0}

    class Holder:
        def __init__(self):
            self.weight = weight

        def slope(self, t, y):
            return torch.tanh(y @ self.weight) * t

    scaled = functools.partial(lambda scale, t, y: torch.sin(y @ weight) * scale, 0.5)
    handed = lambda t, y, given: torch.tanh(y @ weight + given["shift"])
    for func, args in (
        (lambda t, y: torch.tanh(y @ weight) * t, ()),
        (lambda t, y: torch.tanh(y @ computed), ()),
        (Holder().slope, ()),
        (scaled, ()),
        (handed, (given,)),
        (lambda t, y: t * weight.sum() + 0.0 * y.detach(), ()),
        (lambda t, y: torch.ones_like(y), ()),
    ):
        check_exact(func, *problem(), (weight, shift, unused), args=args)


def test_a_tensor_exchanged_after_the_solve_is_refused_as_ever():
    store = {f"weight{i}": torch.eye(3, dtype=DTYPE, requires_grad=True) for i in (1, 2)}
    read = ["weight", "1"]
    func = lambda t, y: torch.tanh(y @ store["".join(read)])
    y0, t = problem()
    gradients(odeint(func, y0, t, method="rk4", options=TRACED), (y0,))
    ys = odeint(func, y0, t, method="rk4", options=TRACED)
    store["weight1"] = torch.ones(3, 3, dtype=DTYPE, requires_grad=True)
    with pytest.warns(CompileFallbackWarning), pytest.raises(CapturedTensorError):
        gradients(ys, (y0,))


def test_nested_states():
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    (x, t), cost = problem(2, 3), torch.zeros((), dtype=DTYPE, requires_grad=True)
    check_exact(
        lambda t, state: {"x": torch.tanh(state["x"] @ weight), "cost": state["x"].sum() * t},
        {"x": x, "cost": cost},
        t,
        (weight,),
    )


def test_autograd_within_f():
    hamiltonian, flow = HamiltonianNetwork(), Flow()
    check_exact(hamiltonian, *problem(3, 4), tuple(hamiltonian.parameters()))
    x, t = problem(3, 2)
    log_density = torch.zeros(3, dtype=DTYPE, requires_grad=True)
    check_exact(flow, (x, log_density), t, tuple(flow.parameters()))


def test_statistics_that_f_keeps_are_kept_as_often():
    class Normalized(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.norm = Network(), nn.BatchNorm1d(3, dtype=DTYPE)

        def forward(self, t, y):
            return self.norm(self.network(t, y))

    field = Normalized()
    solution = check_exact(field, *problem(), field.parameters(), method="rk4")
    stats = solution.stats
    # The oracle evaluates each stage, and the end of each step.
    assert field.norm.num_batches_tracked == (
        stats.nfe_forward + stats.nfe_backward + 5 * stats.num_accepted
    )


def test_float32_and_autocast():
    network = Network(dtype=torch.float32)
    y0 = torch.randn(4, 3, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 3)
    for enabled in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found, expected = (
                gradients(
                    odeint(network, y0, t, method="rk4", options=options),
                    (y0, *network.parameters()),
                )
                for options in (TRACED, {})
            )
        assert gradient_error(found, expected) < 1e-5


# --- what goes on without graphs ----------------------------------------------------------------


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.calls = Network(), 0

    def forward(self, t, y):
        self.calls += 1
        return self.network(t, y)


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.dropout = Network(), nn.Dropout(0.3)

    def forward(self, t, y):
        return self.dropout(self.network(t, y))


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Network()

    def forward(self, t, y):
        return self.network(t, y) if t < 0.5 else -self.network(t, y)


@pytest.mark.parametrize(
    ("make", "why"),
    [(Counting, "side effects"), (Noisy, "random"), (Branching, "branch")],
)
def test_what_cannot_be_traced_is_said_once_and_solved_as_ever(make, why):
    field, (y0, t) = make(), problem()
    inputs = (y0, t, *field.parameters())

    def run(options):
        torch.manual_seed(1)
        ys = odeint(field, y0, t, method="rk4", options={"step_size": 0.2, **options})
        return (ys, *gradients(ys, inputs))

    with pytest.warns(CompileFallbackWarning, match=why):
        found = run(TRACED)
    again = run(TRACED)  # a warning would be an error
    expected = run({})
    assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))
    assert gradient_error(found, expected) < 1e-14


def test_random_numbers_that_f_draws_later_are_drawn_again():
    class Waking(nn.Module):
        def __init__(self):
            super().__init__()
            self.network, self.is_awake = Network(), False

        def forward(self, t, y):
            slope = self.network(t, y)
            return torch.dropout(slope, 0.3, True) if self.is_awake else slope

        def callback_step(self, t0, y0, dt):
            self.is_awake = bool(t0 > 0.3)

    y0, t = problem()
    results = []
    for options in (TRACED, {}):
        torch.manual_seed(1)
        torch.manual_seed(3)
        field = Waking()
        torch.manual_seed(2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ys = odeint(field, y0, t, method="rk4", options={"step_size": 0.1, **options})
        assert len(caught) == (1 if options else 0)
        field.is_awake = False
        results.append((ys, *gradients(ys, (y0, *field.parameters()))))
    assert gradient_error(*results) < 1e-14


def test_complex_states_go_without():
    y0 = torch.randn(3, dtype=torch.complex128, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 2, dtype=DTYPE)
    func = lambda t, y: 1j * y
    with pytest.warns(CompileFallbackWarning, match="complex"):
        ys = odeint(func, y0, t, options=TRACED)
    assert torch.equal(ys, odeint(func, y0, t))


def test_more_shapes_than_torch_compiles_go_without():
    network, (y0, t) = Network(), problem()
    with torch._dynamo.config.patch(recompile_limit=1):
        odeint(network, y0, t, options=TRACED)
        with pytest.warns(CompileFallbackWarning, match="shapes"):
            odeint(network, torch.randn(5, 3, dtype=DTYPE), t, options=TRACED)
        odeint(network, y0, t, options=TRACED)
    assert graphs_of(network, "eager").failure is None


# --- beside all else that a solve can be asked for ----------------------------------------------


def test_events_and_dense_output():
    network, (y0, t) = Network(), problem()

    def ends(options):
        time, ys = odeint(
            network,
            y0,
            t[:2],
            event_fn=lambda t, y: t - 0.37 + 0.01 * y.sum(),
            options=options,
        )
        return time, *gradients((time, ys), (y0, *network.parameters()))

    def inside(options):
        ys = odeint_dense(network, y0, 0.0, 1.0, options=options)(torch.tensor([0.2, 0.71]))
        return ys, *gradients(ys, (y0, *network.parameters()))

    for run in (ends, inside):
        found, expected = run(TRACED), run({})
        assert gradient_error(found, expected) < 1e-7  # other steps, to within the tolerance


def test_derivatives_of_other_kinds_go_without_graphs():
    network, (y0, t) = Network(), problem()
    steps = {"step_size": 0.25}

    def run(options):
        return odeint(network, y0, t, method="rk4", options={**steps, **options})

    second = []
    for options in (TRACED, {}):
        (first,) = torch.autograd.grad(run(options).square().sum(), y0, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), (y0, *network.parameters())))
    assert gradient_error(*second) < 1e-12

    cotangents = torch.randn(3, *run({}).shape, dtype=DTYPE)
    batches = [
        torch.autograd.grad(run(options), y0, cotangents, is_grads_batched=True)
        for options in (TRACED, {})
    ]
    assert gradient_error(*batches) < 1e-12

    solved = [
        torch.func.vmap(
            lambda y, options=options: odeint(
                network, y, t.detach(), method="rk4", options={**steps, **options}
            )
        )(y0.detach())
        for options in (TRACED, {})
    ]
    assert torch.equal(*solved)


def test_a_mode_that_sees_every_operation_sees_them():
    seen = []

    class Sees(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    network, (y0, t) = Network(), problem()
    with Sees():
        found = gradients(odeint(network, y0, t, options=TRACED), (y0, *network.parameters()))
    expected = gradients(odeint(network, y0, t), (y0, *network.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert sum("addmm" in name for name in seen) > 50
    assert graphs_of(network, "eager").num_graphs == 0


def test_hooks_see_the_whole_gradient_once():
    network, (y0, t) = Network(), problem()
    seen = []
    network.inner.weight.register_hook(lambda gradient: seen.append(gradient.clone()))
    weighted(odeint(network, y0, t, options=TRACED)).backward()
    assert len(seen) == 1
    assert torch.equal(seen[0], network.inner.weight.grad)


def test_a_second_backward_pass():
    network, (y0, t) = Network(), problem()
    ys = odeint(network, y0, t, options=TRACED)
    first, second = (gradients(ys, (y0, *network.parameters())) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"options": {"compile": 1}}, InvalidInputError, "Allowed are True"),
        ({"options": {"compile": "inducter"}}, InvalidInputError, "did you mean 'inductor'"),
        ({"options": {**TRACED, "graphs": 2}}, UnsupportedError, "graphs"),
        ({"options": {**TRACED, "restore_buffers": True}}, UnsupportedError, "restore_buffers"),
        ({"options": TRACED, "method": "radauIIA5"}, UnsupportedError, "implicit"),
        ({"options": TRACED, "memory_budget": "1GiB"}, InvalidInputError, "memory_budget"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        odeint(Network(), *problem(), **arguments)


@pytest.fixture
def looks(monkeypatch):
    """Fields whose evaluations were looked at."""
    seen, look = [], CapturedTensors.__call__

    def noted(self, field, t, y):
        seen.append(field.func)
        return look(self, field, t, y)

    monkeypatch.setattr(CapturedTensors, "__call__", noted)
    return seen


def reading(weight):
    return lambda t, y: torch.tanh(y @ weight) * t


def test_a_solve_like_one_before_is_not_looked_at(looks):
    (y0, t), counts = problem(), []
    for _ in range(4):
        weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
        func, inputs = reading(weight), (y0, t, weight)
        looks.clear()
        found = gradients(odeint(func, y0, t, options=TRACED), inputs)
        counts.append(len(looks))
        assert gradient_error(found, gradients(odeint(func, y0, t), inputs)) < 1e-12
    assert counts == [1, 0, 0, 0]  # the first makes a graph, of which it is known what it reads


def test_a_tensor_in_the_place_of_another_gets_its_gradient():
    root, (y0, t) = torch.randn(3, 3, dtype=DTYPE, requires_grad=True), problem()
    weights = [torch.randn(3, 3, dtype=DTYPE, requires_grad=True) for _ in range(3)]
    for weight in (*weights, root.exp(), weights[0], root.sin()):
        func, leaf = reading(weight), weight if weight.is_leaf else root
        found = gradients(odeint(func, y0, t, options=TRACED), (y0, leaf))
        assert gradient_error(found, gradients(odeint(func, y0, t), (y0, leaf))) < 1e-12


def test_a_parameter_in_the_place_of_another_gets_its_gradient():
    network, (y0, t) = Network(), problem()
    for _ in range(3):
        odeint(network, y0, t, options=TRACED)
    network.inner.weight = nn.Parameter(torch.randn_like(network.inner.weight))
    check_exact(network, y0, t, tuple(network.parameters()))


@pytest.fixture
def asked(monkeypatch):
    """The arguments with which guards were asked."""
    seen, find = [], GuardedFunction.find

    def noted(self, args):
        seen.append(args)
        return find(self, args)

    monkeypatch.setattr(GuardedFunction, "find", noted)
    return seen


def test_guards_of_a_step_answer_for_its_transpose(asked):
    network, (y0, t) = Network(), problem()
    t, inputs, counts = t.detach(), (y0, *network.parameters()), []
    expected = gradients(odeint(network, y0, t), inputs)
    for _ in range(4):
        ys = odeint(network, y0, t, options=TRACED)
        asked.clear()
        assert gradient_error(gradients(ys, inputs), expected) < 1e-12
        counts.append(len(asked))
    # The first backward pass compiles and the next learns, the graph for ends of steps among it.
    assert counts[0] > counts[-1] == counts[-2] == 0


class Scaled(nn.Module):
    """Reads a number of Python's; in evaluations with a graph another, if it is told to."""

    def __init__(self, *, hides=False):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3, dtype=DTYPE))
        self.scale, self.hidden, self.hides = 1.0, 1.0, hides

    def forward(self, t, y):
        scale = self.hidden if self.hides and torch.is_grad_enabled() else self.scale
        return scale * torch.tanh(y @ self.weight)


def test_a_backward_pass_is_that_of_f_as_the_solve_found_it(asked):
    func, (y0, t) = Scaled(), problem()
    t, inputs = t.detach(), (y0, func.weight)
    expected = gradients(odeint(func, y0, t), inputs)
    for _ in range(3):
        gradients(odeint(func, y0, t, options=TRACED), inputs)
    ys = odeint(func, y0, t, options=TRACED)
    func.scale, func.weight = 3.0, nn.Parameter(torch.zeros(5, 5, dtype=DTYPE))
    asked.clear()
    assert gradient_error(gradients(ys, inputs), expected) < 1e-12
    assert not asked


def test_guards_are_asked_for_what_a_step_has_not_read(asked):
    func, (y0, t) = Scaled(hides=True), problem()
    for value in (1.0, 1.0, 1.0, 2.0, 3.0):
        ys = odeint(func, y0, t.detach(), options=TRACED)
        func.hidden = value
        asked.clear()
        twice = gradients(ys, (y0, func.weight))
        assert asked
        func.hidden = 1.0
        once = gradients(ys, (y0, func.weight))
        assert (gradient_error(twice, once) < 1e-12) == (value == 1.0)


SCALE = 1.0


def of_module(t, y):
    return (SCALE if torch.is_grad_enabled() else 1.0) * torch.tanh(y)


def test_guards_are_asked_for_a_number_of_a_module_that_a_step_has_not_read(asked, monkeypatch):
    y0, t = problem()
    for value in (1.0, 1.0, 1.0, 2.0):
        monkeypatch.setattr(sys.modules[__name__], "SCALE", 1.0)
        ys = odeint(of_module, y0, t.detach(), options=TRACED)
        once = gradients(odeint(of_module, y0, t.detach(), options=TRACED), (y0,))
        monkeypatch.setattr(sys.modules[__name__], "SCALE", value)
        asked.clear()
        twice = gradients(ys, (y0,))
        assert asked
        assert (gradient_error(twice, once) < 1e-12) == (value == 1.0)


def test_parameters_named_in_another_order_get_their_own_gradients():
    a, b = (torch.randn(3, 3, dtype=DTYPE, requires_grad=True) for _ in range(2))
    func, (y0, t) = lambda t, y: torch.tanh(y @ a) @ b, problem()
    t = t.detach()
    expected = gradients(odeint(func, y0, t), (a, b))
    for named in [(a, b)] * 3 + [(b, a)] * 3:
        found = gradients(odeint(func, y0, t, adjoint_params=named, options=TRACED), (a, b))
        assert gradient_error(found, expected) < 1e-12


def test_what_a_graph_reads_without_a_gradient_gets_none():
    shift, (y0, t) = torch.randn(3, dtype=DTYPE, requires_grad=True), problem()
    func = lambda t, y: torch.tanh(y) + shift.detach()
    for _ in range(4):
        ys = odeint(func, y0, t, options=TRACED)
        assert torch.autograd.grad(weighted(ys), shift, allow_unused=True) == (None,)


def test_arguments_of_a_solve_like_one_before():
    weight, (y0, t) = torch.randn(3, 3, dtype=DTYPE, requires_grad=True), problem()
    func = lambda t, y, scale: torch.tanh(y @ weight) * scale
    for value in (1.0, 2.0, 3.0, 4.0):
        scale = torch.tensor(value, dtype=DTYPE, requires_grad=True)
        inputs = (y0, weight, scale)
        found = gradients(odeint(func, y0, t, args=(scale * 2,), options=TRACED), inputs)
        expected = gradients(odeint(func, y0, t, args=(scale * 2,)), inputs)
        assert gradient_error(found, expected) < 1e-12


def test_a_module_that_begins_to_draw_numbers_is_noticed():
    dropping, (y0, t) = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3)).double(), problem()
    func = lambda t, y: dropping(y)
    dropping.eval()
    for _ in range(3):
        odeint(func, y0, t, method="rk4", options=TRACED)
    dropping.train()
    with pytest.warns(CompileFallbackWarning, match="random"):
        solution = solve(func, y0, t, method="rk4", options=TRACED)
    assert len(solution.steps[0].carried) > 0


in_earnest = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch's default compiler needs a C++ compiler",
)


@in_earnest
def test_compiled_in_earnest():
    # One product is written out, the other is too large for that.
    weights = [torch.randn(shape, dtype=DTYPE, requires_grad=True) for shape in ((3, 5), (5, 3))]
    func = lambda t, y: torch.tanh(y @ weights[0]) @ weights[1] * t
    check_exact(
        func,
        *problem(8, 3),
        weights,
        method="heun3",
        options={"compile": True},
        checkpoints="stages",
    )
    assert graphs_of(func, "inductor").failure is None
    assert graphs_of(func, "inductor").num_graphs > 1


@in_earnest
def test_runs_of_small_steps_in_earnest():
    """Kernels called alone, in a workspace: twice, with steps that are rejected."""
    weight = torch.randn(3, 3, requires_grad=True, dtype=DTYPE)
    func = lambda t, y: torch.tanh((t - 0.6) * 80.0) * torch.tanh(y @ weight) - y
    y0, _ = problem(4, 3)
    t = torch.linspace(0.0, 1.2, 5, dtype=DTYPE)
    plain = solve(func, y0, t, rtol=1e-5, atol=1e-5)
    expected = gradients(plain.ys, (y0, weight))
    for checkpoints in (None, "stages", 3, None):
        solution = solve(
            func, y0, t, rtol=1e-5, atol=1e-5, checkpoints=checkpoints, options={"compile": True}
        )
        found = gradients(solution.ys, (y0, weight))
        assert solution.stats.num_rejected == plain.stats.num_rejected > 0
        torch.testing.assert_close(solution.ys, plain.ys, rtol=1e-9, atol=1e-11)
        assert gradient_error(found, expected) < 1e-9  # sizes of steps differ in the last digits
    assert graphs_of(func, "inductor").failure is None


@in_earnest
def test_tapes_hold_on_to_nothing_of_the_caller():
    weight = torch.randn(3, 3, requires_grad=True, dtype=DTYPE)
    func = lambda t, y, a: torch.tanh(y @ weight) * a
    y0, t = torch.randn(4, 3, dtype=DTYPE, requires_grad=True), problem()[1].detach()
    argument = torch.rand(3, dtype=DTYPE, requires_grad=True)
    for _ in range(2):
        ys = odeint(func, y0, t, args=(argument,), options={"compile": True})
        gradients(ys, (y0, weight, argument))
    held = [weakref.ref(x) for x in (y0, argument, ys)]
    del y0, argument, ys
    gc.collect()
    assert [x() for x in held] == [None, None, None]


def small(t, y):
    """Rejects steps where it rises, and jumps at 0.5."""
    rise = torch.tanh((t - 0.6) * 80.0) + torch.where(t < 0.5, 0.0, 1.0)
    return rise.to(y.dtype) * torch.tanh(y.roll(1, -1)) - y


def small_solve(dtype, options, *, backwards=False, **kwargs):
    generator = torch.Generator().manual_seed(0)
    y0 = torch.randn(4, 3, dtype=dtype, generator=generator).requires_grad_()
    t = torch.tensor([0.0, 0.4, 1.2], dtype=dtype)
    given = {"rtol": 1e-5, "atol": 1e-5, **kwargs}
    # Chosen by C++, it differs in its last digits from one that Python chooses.
    first = {} if "step_size" in options else {"first_step": 0.05}
    options = {"compile": True, **first, **options}
    solution = solve(small, y0, 1.2 - t if backwards else t, **given, options=options)
    return solution, gradients(solution.ys, (y0,))


@pytest.fixture
def natively(monkeypatch):
    """Ways to count how often C++ takes steps and transposes them, and to have Python do it."""
    counts = {"steps": 0, "crossings": 0}

    def counted(owner, name, kind):
        original = getattr(owner, name)

        def call(self, *args, **kwargs):
            counts[kind] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    counted(NativeRun, "advance", "steps")
    counted(Crossing, "across", "crossings")

    def by_python():
        monkeypatch.setattr(NativeRun, "of", lambda *_: None)
        monkeypatch.setattr(Crossing, "of", lambda *_: None)

    return counts, by_python


@in_earnest
@pytest.mark.parametrize(
    ("dtype", "asked"),
    [
        (torch.float64, {}),
        (torch.float64, {"checkpoints": "stages"}),
        (torch.float64, {"options": {"jump_t": [0.5, 1.0], "step_t": [0.3]}}),
        (torch.float64, {"options": {"min_step": 0.05, "dfactor": 0.5}, "rtol": 1e-9}),
        (torch.float64, {"options": {"pcoeff": 0.4, "icoeff": 0.3, "dcoeff": 0.1}}),
        (torch.float64, {"options": {"pcoeff": -1.5, "first_step": 0.5, "max_num_steps": 900}}),
        (torch.float64, {"options": {"output": "step"}, "backwards": True}),
        (torch.float64, {"options": {"output": "step", "step_t": [0.3, 0.4], "jump_t": [0.5]}}),
        (torch.float64, {"options": {"jump_t": [0.5]}, "method": "bosh3"}),
        (torch.float64, {"options": {"first_step": 0.01}, "method": "dopri8"}),
        (torch.float32, {}),
        (torch.float32, {"options": {"dtype": torch.float32, "pcoeff": 0.2}}),
    ],
)
def test_loops_in_earnest_are_those_of_python(dtype, asked, natively):
    """To the bit: the kernels are the same, and so is the control of the step size."""
    counts, by_python = natively
    asked = dict(asked)
    options = asked.pop("options", {})
    small_solve(dtype, options, **asked)  # a first step by a graph that was just made
    counts.update(steps=0, crossings=0)
    native, of_native = small_solve(dtype, options, **asked)
    assert min(counts.values()) > 0
    by_python()
    counts.update(steps=0, crossings=0)
    plain, of_plain = small_solve(dtype, options, **asked)
    assert counts == {"steps": 0, "crossings": 0}
    assert native.steps == plain.steps
    assert native.stats == plain.stats
    assert native.stats.num_rejected > 0
    # Outputs inside a step are summed in another order, in float64.
    rounding = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(native.ys, plain.ys, rtol=rounding, atol=rounding)
    torch.testing.assert_close(of_native, of_plain, rtol=rounding, atol=rounding)


@in_earnest
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("scale", [1.0, 0.0, 1e-7])
@pytest.mark.parametrize("method", ["dopri5", "dopri8"])
def test_the_first_step_in_earnest_is_chosen_as_without_graphs(
    method, scale, backwards, dtype, natively
):
    """Also for a state, or a slope, that is nearly zero."""
    counts, _ = natively
    func = lambda t, y: torch.tanh(y) * scale + (y.roll(1, -1) * t).sin()
    y0 = torch.linspace(-1.0, 1.0, 5, dtype=dtype) * (scale or 1e-7)
    t = torch.tensor([0.5, 0.0] if backwards else [0.5, 4.0], dtype=dtype)
    asked = {"rtol": 1e-3, "atol": 1e-3, "method": method}
    plain = solve(func, y0, t, **asked)
    for _ in range(3):
        counts["steps"] = 0
        found = solve(func, y0, t, **asked, options={"compile": True})
        assert counts["steps"] == 1
        first, wanted = found.steps[0].stretch.h, plain.steps[0].stretch.h
        assert first == pytest.approx(wanted, rel=1e-9 if dtype is torch.float64 else 1e-4)
        for stats in (found.stats, plain.stats):
            tried = stats.num_accepted + stats.num_rejected
            assert stats.nfe_forward == 2 + {"dopri5": 6, "dopri8": 13}[method] * tried


@in_earnest
@pytest.mark.parametrize("end", [0.0, 1e-3])
def test_a_slope_in_earnest_that_is_finite_for_a_little_while(end, natively):
    """Too little for the first step to be chosen by it."""
    counts, _ = natively
    func = lambda t, y: torch.where(t > end, torch.nan, torch.tanh(y))
    y0, t = torch.ones(3), torch.tensor([0.0, 1.0])
    for options in ({}, *[{"compile": True}] * 3):
        with pytest.raises(NonFiniteError, match="NaN or infinite just after"):
            solve(func, y0, t, options=options)
    assert counts["steps"] > 0


@in_earnest
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"options": {"first_step": 0.01}},
        {"options": {"first_step": 0.01, "output": "step"}, "checkpoints": "stages"},
        {"options": {"jump_t": [0.5]}},
    ],
)
def test_all_solves_in_earnest_have_the_bits_of_the_first(asked, natively):
    """Also that which compiles: what is made of f at the start does not hang on what is known."""
    counts, _ = natively
    weight = torch.randn(
        3, 3
    )  # of which, in single precision, a graph rounds the product otherwise
    asked, func = dict(asked), lambda t, y: torch.tanh(y @ weight) * (2.0 + t)
    options = {"compile": True, **asked.pop("options", {})}
    y0, t = (x.detach().float().requires_grad_() for x in problem())
    found = []
    for _ in range(4):
        ys = odeint(func, y0, t.detach(), options=options, rtol=1e-5, atol=1e-5, **asked)
        found.append((ys, *gradients(ys, (y0,))))
    assert min(counts.values()) >= 4
    for of_solve in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(of_solve, found[0], strict=True))


@in_earnest
def test_a_solve_in_earnest_that_ends_in_infinity_says_so():
    """Its steps are accepted: in units of an infinite state their error is none."""
    func = lambda t, y: torch.full_like(y, 1e38)
    y0 = torch.full((3,), 3e38, dtype=torch.float32)
    for options in ({}, *[{"compile": True, "first_step": 0.5}] * 3):
        with pytest.raises(NonFiniteError, match="became NaN or infinite"):
            odeint(func, y0, torch.tensor([0.0, 8.0]), options=options)


class Ticking(nn.Module):
    """Counts its evaluations in a buffer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3, dtype=DTYPE))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, t, y):
        self.count.add_(1)
        return torch.tanh(y @ self.weight)


@in_earnest
@pytest.mark.parametrize("options", [{}, {"first_step": 0.01}])
def test_a_small_f_that_counts_in_earnest_is_evaluated_as_often_as_is_said(options):
    func, (y0, t) = Ticking(), problem()
    for _ in range(3):
        func.count.zero_()
        solution = solve(func, y0, t.detach(), options={"compile": True, **options})
        assert func.count == solution.stats.nfe_forward
        gradients(solution.ys, (y0, func.weight))
        stats = solution.stats
        assert func.count == stats.nfe_forward + stats.nfe_backward


@in_earnest
def test_what_is_captured_is_found_after_solves_in_earnest_without_a_gradient():
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    func, (y0, t) = reading(weight), problem()
    t, options = t.detach(), {"first_step": 0.01}  # nothing but the steps needs f
    expected = gradients(odeint(func, y0, t, options=options), (y0, weight))
    options["compile"] = True
    with torch.no_grad():
        for _ in range(3):
            odeint(func, y0, t, options=options)
    for _ in range(3):
        found = gradients(odeint(func, y0, t, options=options), (y0, weight))
        assert gradient_error(found, expected) < 1e-7


@in_earnest
@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_equal_steps_in_earnest_are_transposed_in_one_loop(interp, natively):
    """Each evaluates its end slope for the outputs inside it, and shares it with nobody."""
    counts, by_python = natively
    options = {"step_size": 0.25, "interp": interp}
    for _ in range(2):
        native, of_native = small_solve(torch.float64, options, method="rk4")
    assert counts["crossings"] == 2
    by_python()
    plain, of_plain = small_solve(torch.float64, options, method="rk4")
    assert native.stats == plain.stats
    assert torch.equal(native.ys, plain.ys)
    torch.testing.assert_close(of_native, of_plain, rtol=1e-13, atol=1e-13)


@in_earnest
def test_loops_in_earnest_fill_more_than_one_table(natively):
    counts, by_python = natively
    options = {"max_step": 0.004}
    small_solve(torch.float64, options)
    native, of_native = small_solve(torch.float64, options)
    assert counts["steps"] > 4
    by_python()
    plain, of_plain = small_solve(torch.float64, options)
    assert native.steps == plain.steps
    assert len(native.steps) > 300
    assert all(torch.equal(a, b) for a, b in zip(of_native, of_plain, strict=True))


@in_earnest
def test_loops_in_earnest_fail_as_those_of_python(natively):
    _, by_python = natively
    small_solve(torch.float64, {})
    failures = []
    for _ in range(2):
        with pytest.raises(MaxStepsError) as failure:
            small_solve(torch.float64, {"max_num_steps": 7, "max_step": 0.03})
        failures.append(failure.value)
        by_python()
    native, plain = failures
    assert str(native) == str(plain)
    assert torch.equal(native.y, plain.y)


@in_earnest
def test_large_steps_are_left_to_python(natively):
    counts, _ = natively
    y0 = torch.randn(40, 300, dtype=DTYPE, requires_grad=True)
    t = torch.linspace(0.0, 1.0, 3, dtype=DTYPE)
    ys = odeint(small, y0, t, rtol=1e-5, atol=1e-5, options={"compile": True})
    gradients(ys, (y0,))
    assert counts == {"steps": 0, "crossings": 0}


@in_earnest
def test_loops_that_cannot_be_built_are_named_and_done_without(monkeypatch):
    def build(_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr("symadj.forward.native.build", build)
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    func, (y0, _) = lambda t, y: torch.sin(y @ weight), problem()
    t = torch.tensor([0.0, 8.0], dtype=DTYPE)
    with pytest.warns(CompileFallbackWarning, match="no compiler.*called from Python"):
        found = gradients(odeint(func, y0, t, options={"compile": True}), (y0, weight))
    expected = gradients(odeint(func, y0, t), (y0, weight))
    assert gradient_error(found, expected) < 1e-7  # sizes of steps differ in the last digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        gradients(odeint(func, y0, t, options={"compile": True}), (y0, weight))


@in_earnest
def test_numbers_that_lie_apart_in_earnest():
    """A state that is every second number of another, and slopes that are one number each."""
    numbers = torch.randn(6, dtype=DTYPE)
    func = lambda t, y: torch.sin(y.sum() * t).expand(3)
    t = torch.linspace(0.0, 4.0, 4, dtype=DTYPE)
    for _ in range(3):
        y0 = numbers[::2].detach().requires_grad_()
        found = solve(func, y0, t, options={"compile": True})
        plain = solve(func, y0, t)
        torch.testing.assert_close(found.ys, plain.ys, rtol=1e-9, atol=1e-11)
        assert gradient_error(gradients(found.ys, (y0,)), gradients(plain.ys, (y0,))) < 1e-7
        assert found.stats.num_accepted == plain.stats.num_accepted > 4


@in_earnest
def test_inference_mode_before_training_in_earnest():
    weight = torch.randn(3, 3, dtype=DTYPE, requires_grad=True)
    func, (y0, _) = lambda t, y: torch.cos(y @ weight * t), problem()
    t = torch.linspace(0.0, 4.0, 3, dtype=DTYPE)
    plain = odeint(func, y0, t)
    expected = gradients(plain, (y0, weight))
    for _ in range(3):
        with torch.inference_mode():
            ys = odeint(func, y0, t, options={"compile": True})
        torch.testing.assert_close(ys, plain, rtol=1e-9, atol=1e-11)
    for _ in range(3):
        found = gradients(odeint(func, y0, t, options={"compile": True}), (y0, weight))
        assert gradient_error(found, expected) < 1e-7
    with torch.inference_mode():
        ys = odeint(func, y0, t, options={"compile": True})
    torch.testing.assert_close(ys, plain, rtol=1e-9, atol=1e-11)
