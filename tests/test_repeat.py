"""Solves made again without a look at the arguments, as if these were read; and read if need be."""

import gc
import weakref

import pytest
import torch
from torch import nn

from symadj import odeint, solve
from symadj.errors import NonFiniteError, StepUnderflowError
from symadj.forward.graphs import graphs_of
from symadj.repeat import MOST_KEPT, Repeat
from tests.fields import gradient_error
from tests.test_compile import gradients, in_earnest

pytestmark = in_earnest

TIMES = torch.tensor([0.0, 0.3, 1.0])


class Scaled(nn.Module):
    """A small network, and a number that is none of its parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 2)
        self.scale = 1.0

    def forward(self, t, y):
        return self.scale * self.last(torch.tanh(self.first(y)))


@pytest.fixture
def func():
    return Scaled()


@pytest.fixture
def y0():
    return torch.randn(5, 2, requires_grad=True)


@pytest.fixture
def made_again(monkeypatch):
    """Whether each solve was made again, in the order of the solves that might have been."""
    found, original = [], Repeat.run

    def run(self, *args):
        result = original(self, *args)
        found.append(result is not None)
        return result

    monkeypatch.setattr(Repeat, "run", run)
    return found


def compiled_solve(func, y0, t=TIMES, *, options=None, **kwargs):
    return solve(
        func, y0, t, rtol=1e-4, atol=1e-4, options={"compile": True, **(options or {})}, **kwargs
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"options": {"first_step": 0.1}},
        {"options": {"output": "step", "pcoeff": 0.4, "icoeff": 0.3}},
        {"checkpoints": "stages", "method": "bosh3"},
    ],
)
def test_it_is_the_solve_that_is_read(asked, func, y0, made_again, monkeypatch):
    for _ in range(2):
        compiled_solve(func, y0, **asked)
    assert made_again == []
    again = compiled_solve(func, y0, **asked)
    found = gradients(again.ys, (y0, *func.parameters()))
    assert made_again == [True]
    monkeypatch.setattr(Repeat, "run", lambda *_: None)
    read = compiled_solve(func, y0, **asked)
    expected = gradients(read.ys, (y0, *func.parameters()))
    assert made_again == [True]
    assert again.steps == read.steps
    assert again.stats == read.stats
    assert torch.equal(again.ys, read.ys)
    assert all(map(torch.equal, found, expected))


def edited(func):
    with torch.no_grad():
        func.first.weight.mul_(2.0)


def exchanged(func):
    func.last.bias = nn.Parameter(torch.ones(2))


def frozen(func):
    func.first.weight.requires_grad_(False)


def scaled(func):
    func.scale = 0.5


def hooked(func):
    func.first.register_forward_hook(lambda module, given, made: made + 1.0)


def enlarged(func):
    func.first, func.last = nn.Linear(2, 4), nn.Linear(4, 2)


@pytest.mark.parametrize("change", [edited, exchanged, frozen, scaled, hooked, enlarged])
def test_a_change_of_f_is_seen(change, func, y0, made_again):
    for _ in range(3):
        compiled_solve(func, y0)
    assert made_again == [True]
    change(func)
    inputs = (y0, *(param for param in func.parameters() if param.requires_grad))
    found = compiled_solve(func, y0)
    plain = solve(func, y0, TIMES, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.ys, plain.ys, rtol=1e-4, atol=1e-5)
    expected = gradients(plain.ys, inputs)
    assert gradient_error(gradients(found.ys, inputs), expected) < 1e-4
    if change is frozen:
        found.ys.sum().backward()
        assert func.first.weight.grad is None


def test_callbacks_that_come_later_are_called(func, y0, made_again):
    for _ in range(3):
        compiled_solve(func, y0)
    told = []
    func.callback_accept_step = lambda t, y, h: told.append(float(t))
    solution = compiled_solve(func, y0)
    assert made_again == [True, False]
    assert told == [step.stretch.t0 for step in solution.steps]


def test_autocast_and_modes_are_seen(func, y0, made_again):
    for _ in range(3):
        compiled_solve(func, y0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        compiled_solve(func, y0)
    with torch.no_grad():
        assert not compiled_solve(func, y0).ys.requires_grad
    assert made_again[:2] == [True, False]
    assert compiled_solve(func, y0.detach()).ys.requires_grad  # of the parameters
    assert not any(made_again[2:-1])
    assert made_again[-1]


@pytest.mark.parametrize("options", [{}, {"first_step": 0.1}])
def test_a_state_that_leaves_all_bounds_raises_as_ever(options, func, y0, made_again):
    for _ in range(3):
        compiled_solve(func, y0, options=options)
    assert made_again == [True]
    with torch.no_grad():
        func.last.weight.fill_(float("inf"))
    with pytest.raises((NonFiniteError, StepUnderflowError)) as plain:
        solve(func, y0, TIMES, rtol=1e-4, atol=1e-4, options=options)
    with pytest.raises(plain.type) as found:
        compiled_solve(func, y0, options=options)
    assert str(found.value) == str(plain.value)


def test_what_is_asked_for_otherwise_is_read(func, y0, made_again):
    for _ in range(3):
        compiled_solve(func, y0)
    compiled_solve(func, y0, TIMES * 2)
    compiled_solve(func, y0, TIMES.double())
    compiled_solve(func, y0, options={"max_step": 0.3})
    compiled_solve(func, y0, checkpoints="stages")
    compiled_solve(func, y0, method="bosh3")
    compiled_solve(func, torch.randn(4, 2))
    compiled_solve(func, y0, args=(), adjoint_params=tuple(func.parameters()))
    odeint(func, y0, TIMES.clone().requires_grad_(), options={"compile": True})
    assert made_again == [True]


def test_the_latest_are_kept_and_f_is_not(y0):
    func = Scaled()
    for end in range(1, MOST_KEPT + 5):
        for _ in range(2):
            compiled_solve(func, y0, torch.tensor([0.0, float(end)]))
    solves = graphs_of(func, "inductor").solves
    assert len(solves) == MOST_KEPT
    assert [signature[-1][-1] for signature in solves] == list(range(5, MOST_KEPT + 5))
    alive = weakref.ref(func)
    del func, solves
    gc.collect()
    assert alive() is None
