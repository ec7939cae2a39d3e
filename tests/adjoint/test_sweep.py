"""The gradient of a whole solve is that of backpropagation through the steps it took."""

import pytest
import torch
import torchdiffeq
from hypothesis import given, settings
from hypothesis import strategies as st

import symadj
from symadj.tableaus import TABLEAUS
from tests.fields import Flow, HamiltonianNetwork, Network, largest_difference

ADAPTIVE = ["bosh3", "dopri5", "dopri8"]
FIXED = ["euler", "midpoint", "heun2", "heun3", "rk4"]


def gradients(solve, field, y0, t, cotangents, **arguments):
    """Return the gradients of y0, t and the parameters of a random linear loss."""
    y0 = y0.detach().requires_grad_()
    t = t.detach().requires_grad_()
    ys = solve(field, y0, t, **arguments)
    return torch.autograd.grad((ys * cotangents).sum(), (y0, t, *field.parameters()))


@settings(deadline=None, max_examples=150)
@given(
    method=st.sampled_from([*ADAPTIVE, *FIXED]),
    shape=st.sampled_from([(3,), (2, 3), (2, 1, 3)]),
    gaps=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5),
    decreasing=st.booleans(),
    digits=st.floats(1, 7),
    step_size=st.none() | st.floats(0.05, 0.5),
    interp=st.sampled_from(["linear", "cubic"]),
    checkpoints=st.sampled_from([None, "stages", "activations"]),
    seed=st.integers(0, 10**6),
)
def test_equal_to_backpropagation_through_torchdiffeq(
    method, shape, gaps, decreasing, digits, step_size, interp, checkpoints, seed
):
    torch.manual_seed(seed)
    field, y0 = Network(), torch.randn(shape, dtype=torch.float64)
    # Irregular times: torchdiffeq has no gradient for an output that falls on a grid point.
    t = torch.tensor([0.0, *gaps], dtype=torch.float64).cumsum(0) * (
        1 - 1e-3 * torch.rand(1).item()
    )
    t = -t if decreasing else t
    cotangents = torch.randn(len(t), *shape, dtype=torch.float64)
    if method in ADAPTIVE:
        options = {"first_step": 0.1}
    else:
        options = {"interp": interp} | ({} if step_size is None else {"step_size": step_size})
    common = {"method": method, "rtol": 10**-digits, "atol": 10**-digits}
    theirs = gradients(
        torchdiffeq.odeint, field, y0, t, cotangents, options=dict(options), **common
    )
    ours = gradients(
        symadj.odeint, field, y0, t, cotangents, options=options, checkpoints=checkpoints, **common
    )
    assert largest_difference(ours, theirs) < 1e-12


@pytest.mark.parametrize("method", TABLEAUS)
@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_taylor_remainder_is_of_second_order(method, checkpoints):
    """Independent of torchdiffeq, and of which steps were taken: they are fixed here."""
    if checkpoints == "activations" and not TABLEAUS[method].is_explicit:
        pytest.skip("implicit methods keep no graphs")
    field = Network()
    y0, direction = torch.randn(2, 4, 3, dtype=torch.float64)
    t = torch.tensor([0.0, 0.33, 0.8], dtype=torch.float64)
    options = {"step_size": 0.1}
    if TABLEAUS[method].is_adaptive:
        options = {"first_step": 0.1, "min_step": 0.1, "max_step": 0.1}

    def loss(y0):
        ys = symadj.odeint(field, y0, t, method=method, options=options, checkpoints=checkpoints)
        return torch.sin(ys[1:]).sum()

    y0.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(y0), y0)
    slope = (gradient * direction).sum()
    with torch.no_grad():
        remainders = [
            (loss(y0 + e * direction) - loss(y0) - e * slope).abs().item() for e in (1e-2, 5e-3)
        ]
    assert 3.7 < remainders[0] / remainders[1] < 4.3


@pytest.mark.parametrize("method", TABLEAUS)
def test_gradcheck_on_fixed_steps(method):
    field = Network(dim=2, width=3)
    y0 = torch.randn(2, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.31, 0.55], dtype=torch.float64, requires_grad=True)
    options = {"step_size": 0.2}
    if TABLEAUS[method].is_adaptive:
        options = {"first_step": 0.2, "min_step": 0.2, "max_step": 0.2}

    def outputs(y0, t, *_):
        return symadj.odeint(field, y0, t, method=method, options=options)

    assert torch.autograd.gradcheck(outputs, (y0, t, *field.parameters()))


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_fields_that_call_autograd_inside(method, checkpoints):
    t = torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64)
    options = {"first_step": 0.1} if method == "dopri5" else {"step_size": 0.1}
    common = {"method": method, "rtol": 1e-5, "atol": 1e-5}

    field = HamiltonianNetwork()
    y0 = torch.randn(5, 4, dtype=torch.float64)
    cotangents = torch.randn(3, 5, 4, dtype=torch.float64)
    theirs = gradients_without_time(
        torchdiffeq.odeint, field, y0, t, cotangents, options=dict(options), **common
    )
    ours = gradients_without_time(
        symadj.odeint, field, y0, t, cotangents, options=options, checkpoints=checkpoints, **common
    )
    assert largest_difference(ours, theirs) < 1e-12


def gradients_without_time(solve, field, y0, t, cotangents, **arguments):
    y0 = y0.detach().requires_grad_()
    ys = solve(field, y0, t, **arguments)
    # The last bias of an energy moves no trajectory: its gradient is zero, or not there.
    found = torch.autograd.grad(
        (ys * cotangents).sum(), (y0, *field.parameters()), allow_unused=True
    )
    return [torch.zeros(1) if g is None else g for g in found]


@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_a_normalizing_flow(checkpoints):
    flow = Flow()
    x = torch.randn(6, 2, dtype=torch.float64)
    t = torch.tensor([1.0, 0.0], dtype=torch.float64)

    def loss(solve, **arguments):
        start = x.detach().requires_grad_()
        ys = solve(flow, (start, torch.zeros(6, dtype=torch.float64)), t, rtol=1e-5, **arguments)
        z, log_density = ys
        value = (0.5 * z[-1].pow(2).sum(1) - log_density[-1]).mean()
        return torch.autograd.grad(value, (start, *flow.parameters()))

    theirs = loss(torchdiffeq.odeint, method="dopri5", options={"first_step": 0.05})
    ours = loss(symadj.odeint, options={"first_step": 0.05}, checkpoints=checkpoints)
    assert largest_difference(ours, theirs) < 1e-12


def test_kept_stages_and_replayed_stages_give_the_same_bits():
    field, y0 = Network(), torch.randn(4, 3, dtype=torch.float64)
    t = torch.tensor([0.0, 0.4, 1.1], dtype=torch.float64)
    cotangents = torch.randn(3, 4, 3, dtype=torch.float64)
    replayed = gradients(symadj.odeint, field, y0, t, cotangents)
    kept = gradients(symadj.odeint, field, y0, t, cotangents, checkpoints="stages")
    assert all(torch.equal(a, b) for a, b in zip(replayed, kept, strict=True))


def test_counts_of_the_backward_pass():
    field, y0 = Network(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for checkpoints, replayed in ((None, 5), ("stages", 0)):
        solution = symadj.solve(field, y0, t, checkpoints=checkpoints, rtol=1e-4, atol=1e-4)
        stats, n = solution.stats, solution.stats.num_accepted
        assert stats.nvjp == 0
        solution.ys[-1].sum().backward()
        # One more product for the end slope of the last step, on which the last output hangs.
        assert stats.nvjp == 6 * n + 1
        assert stats.num_replayed == replayed * n
        assert stats.nfe_backward == stats.nvjp + stats.num_replayed
        kept = 6 if checkpoints else 1
        assert stats.snapshot_bytes == (kept * n + 1) * y0.numel() * 8
