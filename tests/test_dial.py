"""Memory as a dial: whatever is kept, wherever, the gradient is the same, bit for bit."""

import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import symadj
from symadj import errors
from symadj.adjoint.binomial import optimal_replays
from symadj.adjoint.replay import SMALL_STATE_BYTES
from tests.fields import Network, gradient_error

T = torch.tensor([0.0, 0.31, 0.8, 1.7], dtype=torch.float64)
WAYS = {
    "adaptive": {"rtol": 1e-6, "atol": 1e-6},
    "steps at outputs": {"rtol": 1e-6, "atol": 1e-6, "options": {"output": "step"}},
    "not first same as last": {"method": "fehlberg2", "rtol": 1e-3, "atol": 1e-3},
    "jump": {"rtol": 1e-5, "atol": 1e-5, "options": {"jump_t": [0.5]}},
    "linear": {"method": "rk4", "options": {"step_size": 0.06}},
    "cubic": {"method": "heun3", "options": {"step_size": 0.06, "interp": "cubic"}},
    "implicit": {"method": "gl4", "options": {"step_size": 0.2}},
    "stiff": {"method": "trbdf2", "rtol": 1e-3, "atol": 1e-3},
}


IMPLICIT = {"gl4", "trbdf2"}


def gradients(field, y0, arguments, **choice):
    """Return gradient and statistics of one solve."""
    t = T.clone().requires_grad_()
    options = {**arguments.get("options", {}), **choice.pop("options", {})}
    solution = symadj.solve(field, y0, t, **{**arguments, **choice, "options": options})
    found = torch.autograd.grad(solution.ys.sin().sum(), (y0, t, *field.parameters()))
    return found, solution.stats


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    "choice",
    [
        {"checkpoints": 1},
        {"checkpoints": 2},
        {"checkpoints": 5},
        {"checkpoints": 10**6},
        {"checkpoints": "stages"},
        {"checkpoints": "activations"},
        {"offload": "disk"},
        {"offload": "host"},
        {"checkpoints": "stages", "offload": "disk"},
        {"checkpoints": 4, "offload": "disk"},
        {"options": {"graphs": 2}},
        {"options": {"graphs": 100}},
        {"checkpoints": 3, "options": {"graphs": 3}},
    ],
    ids=str,
)
@pytest.mark.parametrize("num_samples", [4, 200], ids=["small", "large"])  # for what is remade
def test_every_point_of_the_dial_gives_the_same_bits(num_samples, arguments, choice):
    field = Network()
    y0 = torch.randn(num_samples, 3, dtype=torch.float64, requires_grad=True)
    if choice.get("checkpoints") == "activations" and arguments.get("method") in IMPLICIT:
        pytest.skip("implicit methods keep no graphs")
    assert (y0.nbytes <= SMALL_STATE_BYTES) == (num_samples == 4)
    reference, _ = gradients(field, y0, arguments)
    ours, stats = gradients(field, y0, arguments, **choice)
    assert same(ours, reference)
    if isinstance(choice.get("checkpoints"), int):
        assert stats.num_snapshots <= choice["checkpoints"]
    else:
        assert stats.num_replayed_steps == 0


@settings(deadline=None, max_examples=60)
@given(
    num_steps=st.integers(1, 60),
    capacity=st.integers(1, 12),
    adaptive=st.booleans(),
    end=st.sampled_from([1.0, 0.99]),
)
def test_replays_are_as_few_as_they_can_be(num_steps, capacity, adaptive, end):
    calls = 0

    def field(t, y):
        nonlocal calls
        calls += 1
        return torch.sin(y) + t

    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, end], dtype=torch.float64)
    h = 1.0 / num_steps
    if adaptive:
        arguments = {"options": {"first_step": h, "min_step": h, "max_step": h, "output": "step"}}
    else:
        arguments = {"method": "rk4", "options": {"step_size": h}}
    solution = symadj.solve(field, y0, t, checkpoints=capacity, **arguments)
    forward = calls
    (ours,) = torch.autograd.grad(solution.ys[-1].sum(), y0)
    plain = symadj.solve(field, y0, t, **arguments)
    calls = 0
    (theirs,) = torch.autograd.grad(plain.ys[-1].sum(), y0)
    taken = len(solution.steps)
    stages = 6 if adaptive else 4
    least = optimal_replays(taken, capacity)
    replayed = solution.stats.num_replayed_steps
    assert torch.equal(ours, theirs)
    assert solution.stats.num_snapshots <= capacity
    if not adaptive:
        assert replayed == least
    elif capacity != 2:
        assert replayed <= 1.1 * least
    assert solution.stats.nfe_backward == calls + replayed * stages
    assert forward == solution.stats.nfe_forward


@pytest.mark.parametrize("choice", [{"checkpoints": 3}, {"offload": "disk"}], ids=str)
def test_a_second_backward_pass_fills_the_store_anew(choice):
    field, y0 = Network(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    loss = symadj.odeint(field, y0, T, rtol=1e-6, **choice).sin().sum()
    first = torch.autograd.grad(loss, y0, retain_graph=True)
    second = torch.autograd.grad(loss, y0, retain_graph=True)
    assert same(first, second)
    (gradient,) = torch.autograd.grad(loss, y0, create_graph=True)
    assert same([gradient], first)
    (twice,) = torch.autograd.grad(gradient.sum(), y0)
    plain = symadj.odeint(field, y0, T, rtol=1e-6).sin().sum()
    (gradient,) = torch.autograd.grad(plain, y0, create_graph=True)
    assert same([twice], torch.autograd.grad(gradient.sum(), y0))


@pytest.mark.parametrize(
    "choice",
    [{"checkpoints": 1}, {"checkpoints": 3}, {"offload": "disk"}, {"options": {"graphs": 3}}],
    ids=str,
)
@pytest.mark.parametrize("interp", ["linear", "cubic"])
def test_random_numbers_are_drawn_again_in_every_replay(choice, interp):
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)).double()
    field = lambda t, y: net(y)
    y0 = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    results = []
    for more in ({}, choice):
        torch.manual_seed(5)
        options = {"step_size": 0.1, "interp": interp, **more.get("options", {})}
        others = {name: value for name, value in more.items() if name != "options"}
        ys = symadj.odeint(field, y0, T, method="rk4", options=options, **others)
        results.append(torch.autograd.grad(ys.sin().sum(), (y0, *net.parameters())))
    assert same(*results)


def test_more_graphs_save_evaluations():
    field, y0 = Network(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    arguments = WAYS["linear"]
    counts = [
        gradients(field, y0, arguments, options={"graphs": graphs})[1].nfe_backward
        for graphs in (1, 2, 3, 4)
    ]
    steps = (counts[0] - counts[1]) // 1
    assert counts == [counts[0] - i * steps for i in range(4)]
    assert counts[3] == 4 * steps  # every stage once: none is made again


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-2)])
def test_states_in_lower_precision_are_not_exact_and_nearly_so(dtype, error):
    field, y0 = Network(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    reference, plain = gradients(field, y0, WAYS["adaptive"])
    ours, stats = gradients(field, y0, WAYS["adaptive"], options={"snapshot_dtype": dtype})
    assert 0 < gradient_error(ours, reference) < error
    assert stats.snapshot_bytes < plain.snapshot_bytes


class Long(nn.Module):
    """A state of some size, on which not much is done."""

    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(-0.1))

    def forward(self, t, y):
        return self.rate * y


def test_a_full_disk_is_an_error_that_keeps_the_outputs(tmp_path):
    y0 = torch.randn(1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(errors.SnapshotError, match="keep fewer states") as caught:
            symadj.odeint(Long(), y0, T.float(), method="rk4", offload=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    expected = symadj.odeint(Long(), y0, T.float(), method="rk4")
    assert torch.equal(caught.value.ys, expected)


SCRIPT = """
import sys, time, torch, symadj
class Slow(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(-0.1))
        self.backward = False
    def forward(self, t, y):
        if self.backward:
            print("going", flush=True)
            time.sleep(0.05)
        return self.rate * y
slow = Slow()
import pathlib
ys = symadj.odeint(slow, torch.randn(100_000), torch.linspace(0, 1, 50), method="rk4",
                   offload=pathlib.Path(sys.argv[1]))
slow.backward = True
ys[-1].sum().backward()
"""


def test_nothing_remains_on_disk_after_a_kill(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "going\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"checkpoints": 0}, "at least 1"),
        ({"checkpoints": True}, "at least 1"),
        ({"checkpoints": "states"}, "stages"),
        ({"offload": "moon"}, "host"),
        ({"options": {"graphs": 0}}, "graphs"),
        ({"options": {"snapshot_dtype": torch.int8}}, "bfloat16"),
    ],
    ids=str,
)
def test_choices_that_are_refused(choice, said):
    y0 = torch.randn(3, requires_grad=True)
    with pytest.raises((errors.InvalidInputError, errors.InvalidTypeError), match=said):
        symadj.odeint(lambda t, y: -y, y0, T.float(), **choice)


def test_in_a_transform_the_choice_changes_nothing():
    field, y0 = Network(dim=2, width=3), torch.randn(2, dtype=torch.float64)
    results = [
        torch.func.grad(lambda y, c=choice: symadj.odeint(field, y, T, **c).sum())(y0)
        for choice in ({}, {"checkpoints": 2}, {"offload": "disk"})
    ]
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
