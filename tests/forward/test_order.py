"""Each method converges with the order that its tableau claims, at step ends and inside steps."""

import math

import pytest
import torch

import symadj
from symadj.tableaus import TABLEAUS

EXACT = math.exp(math.sin(2.0))


def field(t, y):
    return y * torch.cos(t)


def error_at_two(method, num_steps):
    t = torch.linspace(0, 2, num_steps + 1, dtype=torch.float64)
    y0 = torch.ones(1, dtype=torch.float64)
    if TABLEAUS[method].is_adaptive:
        # A step at min_step is accepted whatever its error: so the steps are all alike.
        h = 2 / num_steps
        options = {"first_step": h, "min_step": h, "max_step": h}
        ys = symadj.odeint(field, y0, t[[0, -1]], method=method, options=options)
    else:
        ys = symadj.odeint(field, y0, t, method=method)
    return abs(ys[-1].item() - EXACT)


@pytest.mark.parametrize("method", TABLEAUS)
def test_observed_order(method):
    order = TABLEAUS[method].order
    coarse, fine = (8, 16) if order >= 6 else (64, 128)
    observed = math.log2(error_at_two(method, coarse) / error_at_two(method, fine))
    assert abs(observed - order) < 0.35, observed


@pytest.mark.parametrize(
    ("method", "order"),
    [("bosh3", 2), ("dopri5", 5), ("tsit5", 5), ("dopri8", 5), ("fehlberg2", 3)],
)
def test_observed_order_inside_a_step(method, order):
    """One step of an interpolant of order p has an error of order p + 1."""
    y0 = torch.ones(1, dtype=torch.float64)
    errors = []
    for h in (0.4, 0.2):
        t = torch.tensor([0.0, 0.3 * h], dtype=torch.float64)
        ys = symadj.odeint(
            field, y0, t, method=method, options={"first_step": h, "min_step": h, "max_step": h}
        )
        errors.append(abs(ys[-1].item() - math.exp(math.sin(0.3 * h))))
    observed = math.log2(errors[0] / errors[1])
    assert abs(observed - order) < 0.6, observed
