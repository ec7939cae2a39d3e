"""The same call gives the same bits, and costs the same."""

import pytest
import torch
import torchdiffeq

import symadj
from tests.fields import Network

T = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def _threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"checkpoints": "stages"},
        {"checkpoints": "activations"},
        {"checkpoints": 3},
        {"method": "dopri8"},
        {"method": "rk4"},
        {"method": "radauIIA3"},
    ],
    ids=str,
)
def test_a_gradient_has_the_same_bits_each_time(dtype, arguments):
    field = Network(dim=16, width=200, dtype=dtype)
    y0 = torch.randn(300, 16, dtype=dtype, requires_grad=True)
    t = T[:3].to(dtype)
    if arguments.get("method") == "radauIIA3":
        y0 = y0[:4].detach().requires_grad_()

    def gradient():
        ys = symadj.odeint(field, y0, t, rtol=1e-3, atol=1e-3, **arguments)
        return torch.autograd.grad(ys.square().sum(), (y0, *field.parameters()))

    first, second = gradient(), gradient()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_outputs_cost_no_evaluations():
    """Steps pass over the outputs; to cut them there took 68 evaluations in the paper's code."""

    class Counted(Network):
        calls = 0

        def forward(self, t, y):
            self.calls += 1
            return super().forward(t, y)

    counts = []
    for solve in (symadj.odeint, torchdiffeq.odeint):
        torch.manual_seed(0)
        field = Counted()
        solve(field, torch.ones(3, dtype=torch.float64), T, rtol=1e-5, atol=1e-5, method="dopri5")
        counts.append(field.calls)
    assert counts[0] == counts[1]
