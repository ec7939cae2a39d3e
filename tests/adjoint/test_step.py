"""One step transposed: against autograd through the step, and the geometry it is named after."""

import pytest
import torch
from torch import Tensor

from symadj.adjoint.cotangents import Gathered, Scattered
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.step import OutputCotangents, Stages, StepAdjoint, adjoint_step
from symadj.forward.field import Field
from symadj.forward.interpolation import dense
from symadj.forward.weights import Weights
from symadj.state import Packing
from symadj.tableaus import EXPLICIT_TABLEAUS
from tests.fields import Network, relative_difference

STEP_SIZE = 0.3


def plain_step(tableau, field, y, h, thetas=()):
    """Take a step as the textbook writes it: nothing in common with the solver's own code."""
    slopes: list[Tensor] = []
    stages: list[Tensor] = []
    for row, c in zip(tableau.rows, tableau.nodes, strict=False):
        stage = y + h * sum((float(a) * k for a, k in zip(row, slopes, strict=True)), 0 * y)
        stages.append(stage)
        slopes.append(field(torch.tensor(float(c) * h, dtype=y.dtype), stage))
    y1 = y + h * sum(float(b) * k for b, k in zip(tableau.weights, slopes, strict=False))
    if not thetas:
        return y1, stages
    slopes.append(field(torch.tensor(h, dtype=y.dtype), y1))
    outputs = [
        y
        + h
        * sum(
            sum(float(p) * theta ** (power + 1) for power, p in enumerate(row)) * k
            for row, k in zip(tableau.dense_output, slopes, strict=True)
        )
        for theta in thetas
    ]
    return y1, stages, torch.stack(outputs)


def scattered(weights, y):
    return Scattered(weights, y)


def gathered(weights, y):
    return Gathered(weights, None)


def gathered_in_place(weights, y):
    return Gathered(weights, y.new_empty(weights.num_stages, y.numel()).unbind())


WAYS = [scattered, gathered, gathered_in_place]


def transposed(tableau, network, y, stages, adjoint_state, inside=None, way=scattered):
    """Run `adjoint_step` on one step; return λ_n and the parameters' gradients."""
    field = Field(network, Packing.of(y))
    weights = Weights(tableau, y)
    weights.scale(STEP_SIZE)
    pullback = Pullback(field, tuple(network.parameters()), want_time=False)
    adjoint = StepAdjoint(tableau, weights, pullback, None)
    times = [torch.tensor(float(c) * STEP_SIZE, dtype=y.dtype) for c in tableau.nodes]
    states = Stages([s.detach() for s in stages])
    slopes = way(weights, y)
    result = adjoint_step(adjoint, slopes, 0, STEP_SIZE, times, states, adjoint_state, inside)
    return result, pullback.param_gradients


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", EXPLICIT_TABLEAUS)
def test_one_step_is_the_transpose_of_the_step(method, way):
    tableau, network = EXPLICIT_TABLEAUS[method], Network()
    y = torch.randn(3, dtype=torch.float64, requires_grad=True)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    y1, stages = plain_step(tableau, network, y, STEP_SIZE)
    wanted = torch.autograd.grad(y1, (y, *network.parameters()), adjoint_state)
    y_bar, params_bar = transposed(tableau, network, y.detach(), stages, adjoint_state, way=way)
    for mine, other in zip((y_bar, *params_bar), wanted, strict=True):
        assert relative_difference(mine, other) < 1e-14


@pytest.mark.parametrize("method", EXPLICIT_TABLEAUS)
def test_the_ways_to_gather_give_the_same_bits_and_can_be_used_again(method):
    """Some stages hand on nothing, as where f does not depend on the state."""
    tableau = EXPLICIT_TABLEAUS[method]
    state = torch.randn(5, dtype=torch.float64)
    weights = Weights(tableau, state)
    weights.scale(STEP_SIZE)
    ways = [way(weights, state) for way in WAYS]
    for first_of_none in (0, 1, 3):  # of every second, from this one on
        adjoint_state = torch.randn(5, dtype=torch.float64)
        given = adjoint_state.clone()
        for way in ways:
            way.begin(adjoint_state)
        for i in reversed(range(weights.num_stages)):
            cotangents = [way.of_stage(i) for way in ways]
            assert all(torch.equal(cotangent, cotangents[0]) for cotangent in cotangents)
            handed_on = torch.randn(5, dtype=torch.float64)
            is_none = i >= first_of_none and (i - first_of_none) % 2 == 0
            for way, cotangent in zip(ways, cotangents, strict=True):
                cotangent.zero_()  # it is the caller's
                way.hand_on(i, None if is_none else handed_on.clone())
        ends = [way.end() for way in ways]
        assert all(torch.equal(end, ends[0]) for end in ends)
        assert torch.equal(adjoint_state, given)


@pytest.mark.parametrize("method", ["bosh3", "dopri5", "dopri8", "tsit5"])
def test_outputs_inside_the_step_add_their_cotangents(method):
    tableau, network = EXPLICIT_TABLEAUS[method], Network()
    y = torch.randn(3, dtype=torch.float64, requires_grad=True)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    cotangents = torch.randn(2, 3, dtype=torch.float64)
    thetas = (0.25, 0.8)
    y1, stages, outputs = plain_step(tableau, network, y, STEP_SIZE, thetas)
    weights = dense(tableau).weights(thetas, STEP_SIZE, y)
    # The end slope is the next step's affair: leave its part out of the reference as well.
    end = network(torch.tensor(STEP_SIZE, dtype=torch.float64), y1)
    own = outputs - weights[:, -1:] * end
    wanted = torch.autograd.grad((y1, own), (y, *network.parameters()), (adjoint_state, cotangents))
    inside = OutputCotangents(cotangents, weights)
    y_bar, params_bar = transposed(tableau, network, y.detach(), stages, adjoint_state, inside)
    for mine, other in zip((y_bar, *params_bar), wanted, strict=True):
        assert relative_difference(mine, other) < 1e-13


@pytest.mark.parametrize("method", EXPLICIT_TABLEAUS)
def test_adjoint_and_tangent_keep_their_product(method):
    """λᵀδ is conserved step by step: the property that makes the integrator symplectic."""
    tableau, network = EXPLICIT_TABLEAUS[method], Network()
    y, tangent = torch.randn(2, 3, dtype=torch.float64)
    states, tangents = [y], [tangent]
    for _ in range(10):
        y, tangent = torch.autograd.functional.jvp(
            lambda y: plain_step(tableau, network, y, STEP_SIZE)[0], y, tangent
        )
        states.append(y)
        tangents.append(tangent)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    final = (adjoint_state @ tangents[-1]).item()
    for y, tangent in zip(reversed(states[:-1]), reversed(tangents[:-1]), strict=True):
        _, stages = plain_step(tableau, network, y, STEP_SIZE)
        adjoint_state, _ = transposed(tableau, network, y, stages, adjoint_state)
        assert abs((adjoint_state @ tangent).item() - final) < 1e-13 * abs(final)


def test_where_weights_are_no_numbers_of_python_the_same_is_gathered():
    """As on a GPU, where to read them would wait for it."""
    tableau, y = EXPLICIT_TABLEAUS["dopri5"], torch.randn(300, dtype=torch.float64)
    weights = Weights(tableau, y)
    weights.scale(STEP_SIZE)
    shares = [torch.randn_like(y) for _ in range(weights.num_stages)]
    shares[3] = None

    def gather():
        slopes, cotangents = Gathered(weights, None), []
        slopes.begin(y)
        for i in reversed(range(weights.num_stages)):
            cotangents.append(slopes.of_stage(i))
            slopes.hand_on(i, shares[i])
        return [*cotangents, slopes.end()]

    by_numbers = gather()
    assert weights.numbers
    weights.orders = None
    for h in (2 * STEP_SIZE, STEP_SIZE):
        weights.scale(h)
    assert not weights.numbers
    assert all(map(torch.equal, gather(), by_numbers))
