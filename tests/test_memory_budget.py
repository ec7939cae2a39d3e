"""A limit on memory: kept, whatever is solved, or refused with the least that there is."""

import gc
import itertools

import memray
import pytest
import torch
from torch import nn

import symadj
from symadj import errors
from tests.fields import Flow

MIB = 2**20


class Layers(nn.Module):
    """A multilayer perceptron, in float32."""

    def __init__(self, *sizes):
        super().__init__()
        layers = [
            layer for i, o in itertools.pairwise(sizes) for layer in (nn.Linear(i, o), nn.Tanh())
        ]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, t, y):
        return self.net(y)


def flow_state():
    return torch.randn(400, 2, dtype=torch.float64), torch.zeros(400, dtype=torch.float64)


ENDS = torch.tensor([0.0, 0.5, 1.0])
RK4 = {"method": "rk4", "options": {"step_size": 0.03125}}
EQUAL_STEPS = {"options": {"first_step": 0.04, "min_step": 0.04, "max_step": 0.04}}
CASES = {
    "activations": (lambda: Layers(64, 64, 64, 64), lambda: torch.randn(256, 64), RK4),
    "parameters": (lambda: Layers(256, 512, 256), lambda: torch.randn(4, 256), RK4),
    "long": (
        lambda: Layers(32, 32),
        lambda: torch.randn(64, 32),
        {"method": "heun2", "options": {"step_size": 0.005}},
    ),
    "flow": (Flow, flow_state, {"rtol": 1e-10, "atol": 1e-10}),
    "objects": (lambda: Layers(2, 8, 2), lambda: torch.randn(3, 2), EQUAL_STEPS),
    "small flow": (
        Flow,
        lambda: (torch.randn(16, 2, dtype=torch.float64), torch.zeros(16, dtype=torch.float64)),
        {"rtol": 1e-6, "atol": 1e-8},
    ),
}


def gradient(field, y0, arguments, **choice):
    """Return a gradient and the plan."""
    t = ENDS.double() if isinstance(y0, tuple) else ENDS
    solution = symadj.solve(field, y0, t, **arguments, **choice)
    ends = solution.ys[0] if isinstance(y0, tuple) else solution.ys
    found = torch.autograd.grad(ends[-1].sum(), tuple(field.parameters()), allow_unused=True)
    return [g for g in found if g is not None], solution


def peak_bytes(call, folder):
    """Measure a call from outside, its code warm."""
    gc.collect()
    record = folder / "record.bin"
    record.unlink(missing_ok=True)
    with memray.Tracker(record, trace_python_allocators=True):
        call()
    return memray.FileReader(record).metadata.peak_memory


@pytest.mark.parametrize("case", CASES)
def test_a_budget_is_kept_or_refused(case, tmp_path):
    make, start, arguments = CASES[case]
    field, y0 = make(), start()
    reference, _ = gradient(field, y0, arguments)
    _, unbounded = gradient(field, y0, arguments, memory_budget="1GiB")
    largest = unbounded.plan.chosen.peak_bytes
    assert unbounded.plan.chosen.name == "the graph of every evaluation"
    assert unbounded.plan.evaluations == unbounded.stats.nfe_backward == 0
    evaluations, refused = [], 0
    for share in (2.0, 0.8, 0.6, 0.4, 0.25, 0.15, 0.05):
        budget = int(share * largest)
        call = lambda budget=budget: gradient(field, y0, arguments, memory_budget=budget)
        try:
            found, solution = call()
        except errors.MemoryBudgetError as error:
            refused += 1
            least = error.least_bytes
            call = lambda least=least: gradient(field, y0, arguments, memory_budget=least)
            found, _ = call()  # and that is enough
            if case != "long":  # which is evaluated 40 000 times then
                assert peak_bytes(call, tmp_path) <= 1.02 * least
        else:
            evaluations.append(solution.stats.nfe_backward)
            assert solution.plan.evaluations == solution.stats.nfe_backward
            peak = peak_bytes(call, tmp_path)
            assert peak <= 1.02 * budget, (share, str(solution.plan))
            assert peak <= 1.02 * solution.plan.peak_bytes <= 2 * peak, str(solution.plan)
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True))
    assert refused
    assert least > 0.05 * largest
    assert evaluations == sorted(evaluations)  # less memory, never less work
    # Where states are little beside the rest, the plan that fits at all is the fastest.
    assert evaluations[-1] > evaluations[0] or case in ("parameters", "small flow")


@pytest.mark.parametrize(
    ("arguments", "shares"),
    [
        ({"method": "midpoint", "options": {"step_size": 0.0005}}, (0.5, 0.36)),
        ({"options": {"first_step": 0.002, "min_step": 0.002, "max_step": 0.002}}, (0.34, 0.3)),
    ],
    ids=["grid", "adaptive"],
)
def test_records_of_thousands_of_steps_count_too(arguments, shares, tmp_path):
    field, y0 = Layers(2, 8, 2), torch.randn(3, 2)
    reference, unbounded = gradient(field, y0, arguments, memory_budget="1GiB")
    evaluations = []
    for share in shares:
        budget = int(share * unbounded.plan.peak_bytes)
        call = lambda budget=budget: gradient(field, y0, arguments, memory_budget=budget)
        found, solution = call()
        evaluations.append(solution.plan.evaluations)
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True))
        assert peak_bytes(call, tmp_path) <= 1.02 * budget, str(solution.plan)
    assert evaluations == sorted(evaluations)


@pytest.mark.parametrize("share", [2.0, 0.6, 0.3])
def test_a_second_backward_pass_is_the_same(share):
    field, y0 = Layers(2, 8, 2), torch.randn(3, 2)
    plan = gradient(field, y0, RK4, memory_budget="1GiB")[1].plan
    budget = max(int(share * plan.peak_bytes), plan.others[-1].peak_bytes)
    ys = symadj.odeint(field, y0, ENDS, memory_budget=budget, **RK4)
    params = tuple(field.parameters())
    first, second = (torch.autograd.grad(ys[-1].sum(), params, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_dropout_draws_what_it_draws_without_a_budget():
    field, y0 = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 3)), torch.randn(4, 3)
    function = lambda t, y: field(y)
    results = []
    for budget in (None, "1GiB", "1.5MB"):
        torch.manual_seed(3)
        ys = symadj.odeint(function, y0, ENDS, memory_budget=budget, **RK4)
        results.append([ys, *torch.autograd.grad(ys.sum(), tuple(field.parameters()))])
    for result in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(result, results[0], strict=True))


def test_without_a_gradient_nothing_is_kept():
    field, y0 = Layers(64, 64), torch.randn(256, 64)
    with torch.no_grad():
        plan = symadj.solve(field, y0, ENDS, memory_budget="4MiB", **RK4).plan
        assert plan.num_states == plan.evaluations == 0
        with pytest.raises(errors.MemoryBudgetError) as caught:
            symadj.solve(field, y0, ENDS, memory_budget=1000, **RK4)
        symadj.solve(field, y0, ENDS, memory_budget=caught.value.least_bytes, **RK4)


def test_a_transform_ignores_the_budget():
    y0 = torch.randn(3)
    results = [
        torch.func.grad(
            lambda y, b=budget: symadj.odeint(lambda t, y: -y, y, ENDS, memory_budget=b).sum()
        )(y0)
        for budget in (None, 1)
    ]
    assert torch.equal(*results)


def test_f_is_measured_once():
    field, y0 = Layers(4, 4), torch.randn(2, 4)
    plans = [gradient(field, y0, RK4, memory_budget="1GiB")[1].plan for _ in range(2)]
    assert plans[0].nfe_measuring == 3
    assert plans[1].nfe_measuring == 0
    assert gradient(field, torch.randn(3, 4), RK4, memory_budget="1GiB")[1].plan.nfe_measuring == 3


def test_dense_output_counts_its_interpolants():
    field, y0 = Layers(64, 64), torch.randn(256, 64)
    solve = lambda budget: symadj.odeint_dense(field, y0, 0.0, 1.0, memory_budget=budget)
    plan = solve("1GiB").plan
    assert plan.peak_bytes > plan.num_steps * 4 * y0.nbytes
    with pytest.raises(errors.MemoryBudgetError) as caught:
        solve("1MiB")
    assert solve(caught.value.least_bytes)(0.5).shape == y0.shape


def test_what_is_not_foreseen_is_refused():
    field, y0 = Layers(4, 4), torch.randn(2, 4)
    with pytest.raises(errors.UnsupportedError, match="implicit"):
        gradient(field, y0, {"method": "gl4", "options": {"step_size": 0.1}}, memory_budget="1GiB")
    with pytest.raises(errors.InvalidInputError, match="graphs"):
        gradient(field, y0, {"options": {"graphs": 2}}, memory_budget="1GiB")


def test_a_plan_says_what_it_chose_and_what_else_there_was():
    field, y0 = Layers(64, 64), torch.randn(256, 64)
    _, solution = gradient(field, y0, RK4, memory_budget="2 MiB")
    plan = solution.plan
    assert plan.budget_bytes == 2 * MIB
    assert plan.chosen.peak_bytes <= 2 * MIB
    assert len(plan.others) >= 2
    assert "evaluations" in str(plan)
    assert gradient(field, y0, RK4)[1].plan is None


def test_states_may_leave_the_device_where_that_is_allowed(tmp_path):
    field, y0 = Layers(64, 64), torch.randn(256, 64)
    reference, _ = gradient(field, y0, RK4)
    found, solution = gradient(field, y0, RK4, memory_budget="2.2 MiB", offload=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True))
    assert solution.stats.num_replayed_steps == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"memory_budget": "512 MiBs"}, "MiB"),
        ({"memory_budget": 0}, "positive"),
        ({"memory_budget": "1GiB", "checkpoints": 4}, "checkpoints"),
    ],
    ids=str,
)
def test_budgets_that_are_refused(choice, said):
    with pytest.raises(errors.InvalidInputError, match=said):
        gradient(Layers(4, 4), torch.randn(2, 4), RK4, **choice)
