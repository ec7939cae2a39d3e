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
RK4 = {"method": "rk4", "options": {"step_size": 0.02}}
CASES = {
    "activations": (lambda: Layers(64, 64, 64, 64), lambda: torch.randn(256, 64), RK4),
    "parameters": (lambda: Layers(256, 512, 256), lambda: torch.randn(4, 256), RK4),
    "long": (
        lambda: Layers(32, 32),
        lambda: torch.randn(64, 32),
        {"method": "heun2", "options": {"step_size": 0.002}},
    ),
    "flow": (Flow, flow_state, {"rtol": 1e-10, "atol": 1e-10}),
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
    evaluations, refused = [], 0
    for share in (2.0, 0.8, 0.6, 0.4, 0.25, 0.15, 0.05):
        budget = int(share * largest)
        call = lambda budget=budget: gradient(field, y0, arguments, memory_budget=budget)
        try:
            found, solution = call()
        except errors.MemoryBudgetError as error:
            refused += 1
            least = error.least_bytes
            found, _ = gradient(field, y0, arguments, memory_budget=least)  # and that is enough
        else:
            evaluations.append(solution.stats.nfe_backward)
            assert peak_bytes(call, tmp_path) <= 1.02 * budget, (share, str(solution.plan))
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True))
    assert refused
    assert least > 0.05 * largest
    assert evaluations == sorted(evaluations)  # less memory, never less work
    assert evaluations[-1] > evaluations[0]


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
