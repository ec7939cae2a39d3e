"""Stiff problems, end to end: the solution is the published one, the gradient its derivative."""

import pytest
import torch
from torch import nn

import symadj
from symadj import errors

# Hairer & Wanner II, IV.10: van der Pol's equation with ε = 1e-6 at t = 2, in the scaling in which
# μ = 1000 at t = 2000; Robertson's at t = 40 (their test set, rounded).
VAN_DER_POL = 1.706167732170483
ROBERTSON = (0.7158270688, 9.185534765e-6, 0.2841637457)


class VanDerPol(nn.Module):
    """y'' = μ (1 - y²) y' - y."""

    def __init__(self, mu=1000.0):
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(mu, dtype=torch.float64))

    def forward(self, t, y):
        return torch.stack([y[1], self.mu * (1 - y[0] ** 2) * y[1] - y[0]])


class Robertson(nn.Module):
    """Three reactions, with rates that are nine orders of magnitude apart."""

    def __init__(self):
        super().__init__()
        self.rates = nn.Parameter(torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64))

    def forward(self, t, y):
        a, b, c = y
        slow, fast, back = self.rates[0] * a, self.rates[1] * b * b, self.rates[2] * b * c
        return torch.stack([back - slow, slow - back - fast, fast])


def end_of(field, y0, end, method, tolerance):
    t = torch.tensor([0.0, end], dtype=torch.float64)
    arguments = {"method": method, "rtol": tolerance, "atol": tolerance * 1e-3}
    return symadj.solve(field, y0, t, **arguments)


@pytest.fixture(scope="module")
def derivative_by_mu():
    """Of the end by μ, by differences."""
    y0, shift = torch.tensor([2.0, 0.0], dtype=torch.float64), 0.1
    ends = [
        end_of(VanDerPol(1000.0 + s), y0, 2000.0, "radauIIA5", 1e-8).ys[-1, 0].item()
        for s in (shift, -shift)
    ]
    return (ends[0] - ends[1]) / (2 * shift)


@pytest.mark.parametrize(
    ("method", "tolerance", "error"), [("radauIIA5", 1e-6, 1e-2), ("trbdf2", 1e-6, 0.15)]
)
def test_van_der_pol_at_mu_1000(method, tolerance, error, derivative_by_mu):
    field = VanDerPol()
    y0 = torch.tensor([2.0, 0.0], dtype=torch.float64, requires_grad=True)
    solution = end_of(field, y0, 2000.0, method, tolerance)
    end = solution.ys[-1, 0]
    assert abs(end.item() - VAN_DER_POL) < 10 * error * 1e-2
    assert solution.stats.num_accepted < 3000  # an explicit method takes some millions
    end.backward()
    assert abs(field.mu.grad.item() / derivative_by_mu - 1) < error


@pytest.mark.parametrize(("method", "tolerance"), [("radauIIA5", 1e-8), ("trbdf2", 1e-6)])
def test_robertson(method, tolerance):
    field = Robertson()
    y0 = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    solution = end_of(field, y0, 40.0, method, tolerance)
    expected = torch.tensor(ROBERTSON, dtype=torch.float64)
    assert ((solution.ys[-1] - expected) / expected).abs().max() < 1e-3
    solution.ys[-1, 0].backward()
    # Mass is conserved, so the three gradients of the sum vanish: so they do for each rate.
    total = end_of(field, y0, 40.0, method, tolerance).ys[-1].sum()
    (rates,) = torch.autograd.grad(total, field.rates)
    assert rates.abs().max() < 1e-9
    derivatives = []
    for i, rate in enumerate((0.04, 3e7, 1e4)):
        ends = []
        for sign in (1, -1):
            other = Robertson()
            with torch.no_grad():
                other.rates[i] *= 1 + sign * 1e-3
            ends.append(end_of(other, y0.detach(), 40.0, "radauIIA5", 1e-9).ys[-1, 0].item())
        derivatives.append((ends[0] - ends[1]) / (2e-3 * rate))
    derivatives = torch.tensor(derivatives, dtype=torch.float64)
    assert (field.rates.grad / derivatives - 1).abs().max() < 1e-2


def test_a_step_on_a_fixed_grid_that_cannot_be_taken_is_an_error():
    """Y = 1 + h Y² has no real solution for h > 1/4."""
    t = torch.tensor([0.0, 0.1, 0.6], dtype=torch.float64)
    with pytest.raises(errors.StageSolveError, match=r"t = 0\.1 of size 0\.5") as caught:
        symadj.odeint(lambda t, y: y**2, torch.ones(1).double(), t, method="implicit_euler")
    assert caught.value.t == 0.1
    assert 1.1 < caught.value.y.item() < 1.2


@pytest.mark.parametrize("method", ["gl4", "sdirk2"])
def test_what_implicit_methods_have_not_is_refused(method):
    y0 = torch.ones(3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.5], dtype=torch.float64)
    end = symadj.odeint(lambda t, y: -y.sin(), y0, t, method=method)[-1].sum()
    (gradient,) = torch.autograd.grad(end, y0, create_graph=True)
    with pytest.raises(errors.UnsupportedError, match="dopri5"):
        gradient.sum().backward()
    with pytest.raises(errors.UnsupportedError, match="dopri5"):
        torch.func.grad(lambda y: symadj.odeint(lambda t, y: -y, y, t, method=method).sum())(y0)
    with pytest.raises(errors.UnsupportedError, match="random"):
        symadj.odeint(lambda t, y: nn.functional.dropout(y), y0, t, method=method)
