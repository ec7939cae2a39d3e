"""Callbacks: methods of f that are told of the steps, forward and backward."""

import pytest
import torch
import torchdiffeq
from torch import nn

import symadj
from tests.fields import Network

T = torch.tensor([0.0, 0.6, 1.0], dtype=torch.float64)
NAMES = ("step", "accept_step", "reject_step", "step_adjoint", "accept_step_adjoint")


class Told(Network):
    """A network that writes down what it is told."""

    def __init__(self):
        super().__init__()
        self.told = {name: [] for name in NAMES}
        for name in NAMES:
            setattr(self, f"callback_{name}", self.writer(name))

    def writer(self, name):
        return lambda t0, y0, dt: self.told[name].append((t0.item(), y0.clone(), dt.item()))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_forward_ones_are_told_what_torchdiffeq_tells(sign):
    results = []
    for solve in (symadj.odeint, torchdiffeq.odeint):
        torch.manual_seed(1)
        field = Told()
        y0 = torch.randn(3, dtype=torch.float64)
        options = {"first_step": 2.0}
        solve(field, y0, sign * T, rtol=1e-6, atol=1e-6, method="dopri5", options=options)
        results.append(field.told)
    ours, theirs = results
    assert ours["reject_step"]
    for name in ("step", "accept_step", "reject_step"):
        assert [(t, h) for t, _, h in ours[name]] == [(t, h) for t, _, h in theirs[name]]
        assert all(torch.equal(a[1], b[1]) for a, b in zip(ours[name], theirs[name], strict=True))


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations", 2])
def test_the_backward_ones_are_told_of_each_step_once(checkpoints):
    field = Told()
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    symadj.odeint(field, y0, T, rtol=1e-6, checkpoints=checkpoints)[-1].sum().backward()
    forward, backward = field.told["accept_step"], field.told["step_adjoint"]
    assert len(forward) == len(backward) == len(field.told["accept_step_adjoint"])
    for (t, y, h), (t_back, y_back, h_back) in zip(forward, reversed(backward), strict=True):
        assert (t, h) == (t_back, h_back)
        assert torch.equal(y, y_back)


def test_steps_of_a_fixed_grid_are_not_judged_and_that_is_said():
    field = Network()
    field.callback_reject_step = lambda t0, y0, dt: None
    with pytest.warns(UserWarning, match="callback_reject_step is not called"):
        symadj.odeint(field, torch.ones(3, dtype=torch.float64), T, method="rk4")


def test_a_nested_state_is_told_in_its_own_form():
    seen = []

    class Nested(torch.nn.Module):
        def forward(self, t, y):
            return {"x": -y["x"]}

        def callback_step(self, t0, y0, dt):
            seen.append(y0["x"].shape)

    symadj.odeint(Nested(), {"x": torch.ones(2, 3)}, T, method="rk4")
    assert seen == [(2, 3), (2, 3)]


class Counter(nn.Module):
    """A callback that is a module itself."""

    count = 0

    def forward(self, t0, y0, dt):
        self.count += 1


def test_a_module_may_be_a_callback():
    field = Network()
    field.callback_step = Counter()
    stats = symadj.solve(field, torch.ones(3, dtype=torch.float64), T).stats
    assert field.callback_step.count == stats.num_accepted + stats.num_rejected > 0
