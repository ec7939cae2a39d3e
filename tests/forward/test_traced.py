"""What is traced into graphs, run as it stands: the same step as the solver's own.

Where a compiler traces these functions, no test sees their lines run; here they are plain Python.
"""

import pytest
import torch
import torch._inductor.inductor_prims  # registers the operation that orders a matrix in memory

from symadj.adjoint.compiled import _pull_function, _transpose_function
from symadj.forward.traced import Method, replay_function, slope_of, step_function
from symadj.forward.written_out import MOST_PRODUCTS, small_addmm, small_mm, tanh
from symadj.state import Packing
from symadj.tableaus import EXPLICIT_TABLEAUS
from tests.adjoint.test_step import STEP_SIZE, plain_step, transposed
from tests.fields import Network

ADAPTIVE = [name for name, tableau in EXPLICIT_TABLEAUS.items() if tableau.is_adaptive]


def span(y):
    """Return a step from 0, whose sides are not moved."""
    return torch.tensor([0.0, STEP_SIZE, STEP_SIZE, 0.0, 0.0], dtype=y.dtype)


def state():
    return torch.randn(3, dtype=torch.float64)


@pytest.mark.parametrize("name", EXPLICIT_TABLEAUS)
def test_a_step_and_its_stages(name):
    tableau, network, y = EXPLICIT_TABLEAUS[name], Network(), state()
    method, packing = Method.of(tableau), Packing.of(y)
    expected, stages = plain_step(tableau, network, y, STEP_SIZE)
    step = step_function(method, makes_first=True)
    y1, ratio, *made = step(network, packing, (), None, None, None, y, span(y), None)
    assert ratio is None
    torch.testing.assert_close(y1, expected)
    own = len(method.rows)
    for found in (made[: own - 1], replay_function(method)(network, packing, (), y, span(y))):
        for a, b in zip(found, stages[1:own], strict=True):
            torch.testing.assert_close(a, b)
    torch.testing.assert_close(made[own - 1], network(torch.zeros(()), y))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_the_estimate_of_the_error(name):
    """Against b - b_hat times slopes of the step, the first of which the caller gives."""
    tableau, network, y = EXPLICIT_TABLEAUS[name], Network(), state()
    method, packing = Method.of(tableau), Packing.of(y)
    expected, stages = plain_step(tableau, network, y, STEP_SIZE)
    slopes = [
        network(torch.tensor(float(c) * STEP_SIZE, dtype=y.dtype), stage)
        for c, stage in zip(tableau.nodes, stages, strict=False)
    ]
    if len(tableau.b_hat) > len(slopes):
        slopes.append(network(torch.tensor(STEP_SIZE, dtype=y.dtype), expected))
    weights = [
        float(b) - float(b_hat) for b, b_hat in zip(tableau.weights, tableau.b_hat, strict=False)
    ]
    error = STEP_SIZE * sum(w * k for w, k in zip(weights, slopes, strict=True))
    rtol, atol = torch.tensor(1e-3), torch.tensor(1e-5)
    scale = atol + rtol * torch.maximum(y.abs(), expected.abs())
    step = step_function(method, makes_first=False)
    _, ratio, *_ = step(
        network, packing, (), rtol, atol, torch.linalg.vector_norm, y, span(y), slopes[0]
    )
    torch.testing.assert_close(ratio, torch.linalg.vector_norm(error / scale))


@pytest.mark.parametrize("want_time", [False, True])
@pytest.mark.parametrize("name", EXPLICIT_TABLEAUS)
def test_a_transposed_step(name, want_time):
    tableau, network, y = EXPLICIT_TABLEAUS[name], Network(), state()
    method, params = Method.of(tableau), list(network.parameters())
    _, stages = plain_step(tableau, network, y, STEP_SIZE)
    stages = [stage.detach() for stage in stages[: len(method.rows)]]
    cotangent = state()
    expected, of_params = transposed(tableau, network, y, stages, cotangent)
    totals = [torch.zeros_like(param) for param in params]
    transpose = _transpose_function(method, want_time=want_time)
    field = (network, Packing.of(y), (), params, totals)
    found, *others = transpose(*field, cotangent, span(y), None, *stages)
    torch.testing.assert_close(found, expected)
    for total, gradient in zip(totals, of_params, strict=True):
        torch.testing.assert_close(total, gradient.view_as(total))
    assert others[2 if want_time else 0 :] == [True] * len(params)


def test_one_stage_pulled_back():
    """Of a field that reads one parameter of two, and of one that reads none and no state."""
    y, cotangent = state(), state()
    params = [torch.randn(3, dtype=y.dtype, requires_grad=True) for _ in range(2)]
    totals = [torch.zeros_like(param) for param in params]
    pull = _pull_function(want_time=True)
    where = (torch.tensor(0.5, dtype=y.dtype), y, cotangent)

    def field(t, y):
        return t * params[0] * y

    of_state, of_time, slope, *used = pull(field, Packing.of(y), (), params, totals, *where)
    torch.testing.assert_close(of_state, 0.5 * params[0] * cotangent)
    torch.testing.assert_close(of_time, (params[0] * y * cotangent).sum())
    torch.testing.assert_close(slope, 0.5 * params[0].detach() * y)
    torch.testing.assert_close(totals, [0.5 * y * cotangent, torch.zeros_like(y)])
    assert used == [True, False]

    constant = torch.ones_like(y)
    nothing = pull(lambda t, y: constant, Packing.of(y), (), params, totals, *where)
    assert nothing[:2] == (None, None)
    assert nothing[3:] == (False, False)


def test_a_complex_slope_of_a_real_state_is_refused():
    y = state()
    with pytest.raises(ValueError, match="complex slope"):
        slope_of(lambda t, y: y * 1j, Packing.of(y), (), torch.zeros(()), y)


@pytest.mark.parametrize("num_columns", [2, 50])
def test_small_products_are_written_out(num_columns):
    a, b = torch.randn(20, 3), torch.randn(num_columns, 3).t().contiguous()
    bias = torch.randn(num_columns)
    torch.testing.assert_close(small_mm(a, b), a @ b)
    torch.testing.assert_close(small_addmm(bias, a, b), a @ b + bias)


def test_other_products_are_left_to_the_library():
    large = torch.empty(MOST_PRODUCTS + 1, 1), torch.empty(1, 1)
    small = torch.empty(2, 2), torch.empty(2, 2)
    assert small_mm(*large) is NotImplemented
    assert small_mm(*(x.to("meta") for x in small)) is NotImplemented
    assert small_mm(*(x.to(torch.int64) for x in small)) is NotImplemented
    assert small_addmm(torch.empty(2), *small, beta=2) is NotImplemented
    assert small_addmm(torch.empty(1), *large) is NotImplemented


def test_the_hyperbolic_tangent_written_out_is_good_to_three_units_in_the_last_place():
    near_zero = 10 ** torch.linspace(-30, 0, 100_001, dtype=torch.float64)
    x = torch.cat([torch.linspace(-12, 12, 400_001, dtype=torch.float64), near_zero]).float()
    found, exact = tanh(x), torch.tanh(x.double())
    error = ((found.double() - exact).abs() / exact.abs().clamp(min=1e-300)).max()
    assert error < 3 * torch.finfo(torch.float32).eps
    assert found.abs().max() == 1
    assert torch.equal(tanh(-x), -found)
    assert tanh(torch.tensor([float("nan")])).isnan().all()


@pytest.mark.parametrize("x", [torch.ones(3, dtype=torch.float64), torch.ones(3).bfloat16()])
def test_the_hyperbolic_tangent_of_other_precisions_is_the_librarys(x):
    assert tanh(x) is NotImplemented
