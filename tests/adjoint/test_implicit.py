"""Implicit steps transposed: against the implicit function theorem, differences, and geometry."""

import gc
import weakref
from dataclasses import dataclass
from dataclasses import field as data_field
from typing import ClassVar

import mpmath  # torch brings it along, by way of sympy
import pytest
import torch
from torch import Tensor, nn

from symadj.adjoint.implicit import AdjointSlopes, implicit_adjoint_step
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.step import OutputCotangents, Stages, StepAdjoint
from symadj.adjoint.times import TimeGradient
from symadj.errors import StageSolveError
from symadj.forward import implicit
from symadj.forward.field import Field
from symadj.forward.implicit import solve_stages
from symadj.forward.interpolation import dense
from symadj.forward.weights import Weights
from symadj.state import Packing
from symadj.tableaus import IMPLICIT_TABLEAUS, TABLEAUS
from tests.fields import HamiltonianNetwork, Network, largest_difference, relative_difference

PRECISE = mpmath.mp.clone()
PRECISE.dps = 40
METHODS = pytest.mark.parametrize("method", IMPLICIT_TABLEAUS)
STEP_SIZE = 0.3


class VanDerPol(nn.Module):
    """With a large μ, stiff: slow manifolds and fast jumps between them."""

    def __init__(self, mu: float) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.tensor(mu, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[1], self.mu * (1 - y[0] ** 2) * y[1] - y[0]])


class Robertson(nn.Module):
    """Three reactions whose rates lie nine powers of ten apart."""

    def __init__(self) -> None:
        super().__init__()
        self.log_rates = nn.Parameter(torch.tensor([0.04, 3e7, 1e4], dtype=torch.float64).log())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        slow, fast, middle = self.log_rates.exp()
        first, second, third = slow * y[0], fast * y[1] ** 2, middle * y[1] * y[2]
        return torch.stack([third - first, first - third - second, second])


class Rotation(nn.Module):
    """A complex field that is not differentiable in the complex sense."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor([1.3, -0.4], dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.complex(self.rate[0], self.rate[1]) * y * y.abs() + y.conj() * t


@pytest.fixture(params=["direct", "gmres"])
def route(request, monkeypatch):
    limit = 10**6 if request.param == "direct" else 0
    monkeypatch.setattr(implicit, "DIRECT_LIMIT", limit)
    monkeypatch.setattr(implicit, "FACTOR_LIMIT", limit)
    return request.param


# --- the textbook's step, with nothing in common with the library's ------------------------------


def stage_residual(tableau, f, y, t, h, slopes):
    """``k_i - f(t_n + c_i h, y_n + h Σ a_ij k_j)``, from flat slopes to a flat residual."""
    k = slopes.reshape(tableau.num_stages, -1)
    a = torch.tensor([[float(x) for x in row] for row in tableau.a], dtype=k.dtype)
    states = y + h * (a @ k)
    values = [f(t + float(c) * h, state) for c, state in zip(tableau.c, states, strict=True)]
    return (k - torch.stack(values)).reshape(-1)


def textbook_slopes(tableau, f, y, t, h, guess):
    """Slopes with the derivatives of the implicit function: one Newton step from the solution.

    ``k = k* - M⁻¹ G(k*)`` with ``M = ∂G/∂k`` at the solution ``k*``: the value is ``k*``, and its
    derivative by anything that ``G`` depends on is ``-M⁻¹ ∂G``, the implicit function theorem's.
    """
    slopes = torch.stack(guess).reshape(-1).detach()
    constants = (y.detach(), t.detach(), h.detach())
    for _ in range(4):
        matrix = torch.autograd.functional.jacobian(
            lambda k: stage_residual(tableau, f, *constants, k), slopes
        )
        residual = stage_residual(tableau, f, *constants, slopes).detach()
        slopes = slopes - torch.linalg.solve(matrix, residual)
    matrix = torch.autograd.functional.jacobian(
        lambda k: stage_residual(tableau, f, *constants, k), slopes
    )
    residual = stage_residual(tableau, f, y, t, h, slopes)
    return (slopes - torch.linalg.solve(matrix, residual)).reshape(tableau.num_stages, -1)


def textbook_step(tableau, f, y, t, h, guess, thetas=()):
    slopes = textbook_slopes(tableau, f, y, t, h, guess)
    b = torch.tensor([float(x) for x in tableau.b], dtype=y.dtype)
    outputs = []
    for theta in thetas:
        w = [
            sum(float(x) * theta ** (power + 1) for power, x in enumerate(row))
            for row in tableau.dense_output[:-1]
        ]
        outputs.append(y + h * (torch.tensor(w, dtype=y.dtype) @ slopes))
    return y + h * (b @ slopes), outputs


# --- the library's, in a small loop of its own ---------------------------------------------------


@dataclass
class Trajectory:
    """Steps on a grid, and what the adjoint needs of them."""

    method: str
    f: nn.Module
    grid: Tensor
    y0: Tensor
    states: list[Tensor] = data_field(default_factory=list)
    solutions: list = data_field(default_factory=list)

    def __post_init__(self) -> None:
        self.tableau = TABLEAUS[self.method]
        self.field = Field(self.f, Packing.of(self.y0))
        self.states.append(self.y0)
        for n in range(len(self.grid) - 1):
            y, h = self.states[-1], self.size(n)
            solution = solve_stages(self.field, self.tableau, y, self.times(n), h)
            assert solution.converged
            self.solutions.append(solution)
            b = torch.tensor([float(x) for x in self.tableau.b], dtype=y.dtype)
            self.states.append(y + h * (b @ torch.stack(solution.slopes)))

    def size(self, n: int) -> float:
        return (self.grid[n + 1] - self.grid[n]).item()

    def times(self, n: int) -> list[Tensor]:
        dtype = self.y0.dtype.to_real()
        return [(self.grid[n] + float(c) * self.size(n)).to(dtype) for c in self.tableau.nodes]

    def gradients(
        self,
        adjoint_state: Tensor,
        inside=None,
        handed_on=None,
        *,
        all_states=False,
        return_pullback=False,
    ):
        """Return the gradients of ``λᵀ y_N`` by y_0, the parameters, and the grid."""
        weights = Weights(self.tableau, self.y0)
        pullback = Pullback(self.field, tuple(self.f.parameters()), want_time=True)
        slopes = AdjointSlopes(self.y0.new_empty(weights.num_stages, self.y0.numel()).T)
        hangs_on = [(n, n + 1) for n in range(len(self.solutions))]
        time_gradient = TimeGradient(self.grid, self.grid, hangs_on)
        adjoint = StepAdjoint(self.tableau, weights, pullback, time_gradient)
        adjoint_states = [adjoint_state]
        for n in reversed(range(len(self.solutions))):
            weights.scale(self.size(n))
            for row, state in zip(slopes.each, self.solutions[n].stage_states, strict=True):
                row.copy_(state)  # as where stages are replayed into the rows
            adjoint_state = implicit_adjoint_step(
                adjoint,
                slopes,
                n,
                self.size(n),
                self.times(n),
                Stages(slopes.each),
                adjoint_state,
                inside,
                handed_on,
            )
            adjoint_states.insert(0, adjoint_state)
        if return_pullback:
            return pullback
        if all_states:
            return adjoint_states
        return [adjoint_state, *pullback.param_gradients, time_gradient.knots]

    def textbook_gradients(self, adjoint_state: Tensor):
        """Return the same by autograd through the textbook's steps."""
        y, grid = self.y0.clone().requires_grad_(), self.grid.clone().requires_grad_()
        inputs = (y, *self.f.parameters(), grid)
        for n, solution in enumerate(self.solutions):
            h = grid[n + 1] - grid[n]
            y, _ = textbook_step(self.tableau, self.f, y, grid[n], h, solution.slopes)
        gradients = torch.autograd.grad(y, inputs, adjoint_state, allow_unused=True)
        return [
            torch.zeros_like(i) if g is None else g for i, g in zip(inputs, gradients, strict=True)
        ]


def grid_of(*points):
    return torch.tensor(points, dtype=torch.float64)


@METHODS
def test_one_step_is_the_transpose_of_the_step(method, route):
    y = torch.randn(3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.1, 0.1 + STEP_SIZE), y)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    mine = trajectory.gradients(adjoint_state)
    assert largest_difference(mine, trajectory.textbook_gradients(adjoint_state)) < 1e-13


@METHODS
def test_several_steps_of_different_sizes(method):
    y = torch.randn(3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.0, 0.5, 0.6, 1.1, 1.9), y)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    mine = trajectory.gradients(adjoint_state)
    assert largest_difference(mine, trajectory.textbook_gradients(adjoint_state)) < 1e-13


@METHODS
def test_backwards_in_time(method):
    y = torch.randn(3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.0, -0.5, -0.6), y)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    mine = trajectory.gradients(adjoint_state)
    assert largest_difference(mine, trajectory.textbook_gradients(adjoint_state)) < 1e-13


@METHODS
def test_central_differences(method):
    """Every input moved in one random direction; nothing of the library's adjoint is used."""
    network, y = Network(), torch.randn(3, dtype=torch.float64)
    grid = grid_of(0.0, 0.4, 0.9)
    adjoint_state = torch.randn(3, dtype=torch.float64)
    gradients = Trajectory(method, network, grid, y).gradients(adjoint_state)
    inputs = [y, *(p.detach() for p in network.parameters()), grid]
    directions = [torch.randn_like(x) for x in inputs]

    def value(epsilon):
        moved = [x + epsilon * d for x, d in zip(inputs, directions, strict=True)]
        other = Network()
        with torch.no_grad():
            for parameter, number in zip(other.parameters(), moved[1:-1], strict=True):
                parameter.copy_(number)
        return (Trajectory(method, other, moved[-1], moved[0]).states[-1] @ adjoint_state).item()

    # Fourth order: (8 (f(ε) - f(-ε)) - (f(2ε) - f(-2ε))) / 12ε.
    e = 1e-3
    wanted = (8 * (value(e) - value(-e)) - value(2 * e) + value(-2 * e)) / (12 * e)
    mine = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
    assert mine == pytest.approx(wanted, rel=1e-9)


@METHODS
def test_adjoint_and_tangent_keep_their_product(method):
    """λᵀδ is conserved step by step: the property that makes the integrator symplectic."""
    trajectory = Trajectory(
        method, Network(), grid_of(0.0, 0.3, 0.8, 1.2, 1.4), torch.randn(3, dtype=torch.float64)
    )
    tangents = [torch.randn(3, dtype=torch.float64)]
    for n, solution in enumerate(trajectory.solutions):
        t, h = trajectory.grid[n], trajectory.grid[n + 1] - trajectory.grid[n]
        matrix = torch.autograd.functional.jacobian(
            lambda y, t=t, h=h, k=solution.slopes: textbook_step(
                trajectory.tableau, trajectory.f, y, t, h, k
            )[0],
            trajectory.states[n],
        )
        tangents.append(matrix @ tangents[-1])
    final = torch.randn(3, dtype=torch.float64)
    adjoint_states = trajectory.gradients(final, all_states=True)
    wanted = (final @ tangents[-1]).item()
    for adjoint_state, tangent in zip(adjoint_states, tangents, strict=True):
        assert (adjoint_state @ tangent).item() == pytest.approx(wanted, rel=1e-13)


@METHODS
def test_outputs_inside_the_step_add_their_cotangents(method, route):
    y0 = torch.randn(3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.0, STEP_SIZE), y0)
    tableau, thetas = trajectory.tableau, (0.25, 0.8)
    adjoint_state, *cotangents = torch.randn(3, 3, dtype=torch.float64)
    weights = dense(tableau).weights(thetas, STEP_SIZE, y0)
    assert not weights[:, -1].any()
    mine = trajectory.gradients(adjoint_state, OutputCotangents(torch.stack(cotangents), weights))
    y, grid = y0.clone().requires_grad_(), trajectory.grid.clone().requires_grad_()
    inputs = (y, *trajectory.f.parameters(), grid)
    y1, outputs = textbook_step(
        tableau, trajectory.f, y, grid[0], grid[1] - grid[0], trajectory.solutions[0].slopes, thetas
    )
    wanted = torch.autograd.grad((y1, *outputs), inputs, (adjoint_state, *cotangents))
    assert largest_difference(mine, wanted) < 1e-13


@METHODS
def test_a_further_cotangent_of_the_first_slope(method, route):
    y0 = torch.randn(3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.0, STEP_SIZE), y0)
    adjoint_state, handed_on = torch.randn(2, 3, dtype=torch.float64)
    mine = trajectory.gradients(adjoint_state, handed_on=handed_on)
    y, (t, end) = y0.clone().requires_grad_(), trajectory.grid
    h = end - t
    tableau, guess = trajectory.tableau, trajectory.solutions[0].slopes
    y1, _ = textbook_step(tableau, trajectory.f, y, t, h, guess)
    first = textbook_slopes(tableau, trajectory.f, y, t, h, guess)[0]
    inputs = (y, *trajectory.f.parameters())
    wanted = torch.autograd.grad((y1, first), inputs, (adjoint_state, handed_on))
    assert largest_difference(mine[:-1], wanted) < 1e-13


# --- stiff problems, against 40 digits ------------------------------------------------------------


def number(x):
    return PRECISE.mpf(x.numerator) / x.denominator if hasattr(x, "numerator") else PRECISE.mpf(x)


def precise_van_der_pol(y, params):
    (mu,) = params
    return [y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]


def precise_robertson(y, params):
    slow, fast, middle = (PRECISE.exp(x) for x in params)
    first, second, third = slow * y[0], fast * y[1] ** 2, middle * y[1] * y[2]
    return [third - first, first - third - second, second]


def precise_step(tableau, f, y, h, params, guess):
    """Take a step by Newton's method, its matrix by differences, which are precise here."""
    s, n = tableau.num_stages, len(y)
    a = [[number(x) for x in row] for row in tableau.a]

    def residual(k):
        states = [
            [y[q] + h * sum(a[i][j] * k[j * n + q] for j in range(s)) for q in range(n)]
            for i in range(s)
        ]
        values = [x for state in states for x in f(state, params)]
        return [one - other for one, other in zip(k, values, strict=True)]

    k = [PRECISE.mpf(x.item()) for slope in guess for x in slope]
    for _ in range(2):
        now, matrix = residual(k), PRECISE.matrix(s * n)
        for column in range(s * n):
            moved, width = list(k), PRECISE.mpf(10) ** -20 * max(abs(k[column]), 1)
            moved[column] += width
            for row, value in enumerate(residual(moved)):
                matrix[row, column] = (value - now[row]) / width
        change = PRECISE.lu_solve(matrix, PRECISE.matrix(now))
        k = [x - d for x, d in zip(k, change, strict=True)]
    b = [number(x) for x in tableau.b]
    return [y[q] + h * sum(b[i] * k[i * n + q] for i in range(s)) for q in range(n)]


def precise_jacobian(trajectory, f):
    """Return ∂y_N by y_0, the parameters and the grid, by central differences with 40 digits."""
    parameters = [p.detach().flatten() for p in trajectory.f.parameters()]
    inputs = torch.cat([trajectory.y0, *parameters, trajectory.grid]).tolist()
    n, num_grid = len(trajectory.y0), len(trajectory.grid)

    def end(column, shift):
        moved = [PRECISE.mpf(x) for x in inputs]
        moved[column] += shift
        y, params, grid = moved[:n], moved[n:-num_grid], moved[-num_grid:]
        for step, solution in enumerate(trajectory.solutions):
            h = grid[step + 1] - grid[step]
            y = precise_step(trajectory.tableau, f, y, h, params, solution.slopes)
        return y

    columns = []
    for column, x in enumerate(inputs):
        width = PRECISE.mpf(10) ** -13 * max(abs(x), PRECISE.mpf(10) ** -6)
        columns.append(
            [
                float((up - down) / (2 * width))
                for up, down in zip(end(column, width), end(column, -width), strict=True)
            ]
        )
    return torch.tensor(columns, dtype=torch.float64).T


STIFF = {
    "van der pol": (lambda: VanDerPol(1000.0), precise_van_der_pol, (2.0, 0.0), (0.0, 1.0, 100.0)),
    "robertson": (Robertson, precise_robertson, (1.0, 0.0, 0.0), (0.0, 0.5, 2.0)),
    "robertson, late": (Robertson, precise_robertson, (0.985, 3.39e-5, 0.0148), (0.0, 400.0)),
}
"""Steps of up to 3e5 or, at last, 1e6 times the fastest time scale, from off its manifold too."""


@pytest.mark.parametrize("problem", STIFF)
@METHODS
def test_stiff(method, problem):
    make, precise, y0, grid = STIFF[problem]
    y = torch.tensor(y0, dtype=torch.float64)
    trajectory = Trajectory(method, make(), grid_of(*grid), y)
    wanted = precise_jacobian(trajectory, precise)
    # An explicit first stage multiplies rounding errors by |h J|, whatever its step does to them.
    tolerance = 1e-9 if not any(trajectory.tableau.a[0]) else 2e-12
    for adjoint_state, row in zip(torch.eye(len(y), dtype=torch.float64), wanted, strict=True):
        state, *params, knots = trajectory.gradients(adjoint_state)
        num_params = len(row) - len(y) - len(grid)
        by_state, by_params, by_knots = row.split([len(y), num_params, len(grid)])
        # What a fast direction leaves of λ may be a millionth of it: rounding is that of λ.
        assert (state - by_state).norm() < tolerance * max(by_state.norm().item(), 0.1)
        assert relative_difference(torch.cat([p.flatten() for p in params]), by_params) < tolerance
        assert relative_difference(knots, by_knots) < tolerance


@METHODS
def test_direct_and_gmres_agree(method, monkeypatch):
    y = torch.randn(20, dtype=torch.float64)
    trajectory = Trajectory(method, Network(20, 30), grid_of(0.0, 2.0), y)
    adjoint_state = torch.randn(20, dtype=torch.float64)
    direct = trajectory.gradients(adjoint_state)
    monkeypatch.setattr(implicit, "DIRECT_LIMIT", 0)
    by_gmres = trajectory.gradients(adjoint_state)
    assert largest_difference(by_gmres, direct) < 1e-12


class Heat(nn.Module):
    """Diffusion on 60 points: far too stiff for GMRES on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        ends = torch.zeros(1, dtype=y.dtype)
        padded = torch.cat([ends, y, ends])
        return self.rate * 1e4 * (padded[2:] - 2 * y + padded[:-2]) - y**3


class TestWhereGmresFails:
    def trajectory(self):
        y = torch.sin(torch.linspace(0.1, 3.0, 60, dtype=torch.float64)) ** 2
        return Trajectory("gl4", Heat(), grid_of(0.0, 0.1), y)

    def test_the_jacobian_is_formed_after_all(self, monkeypatch):
        trajectory, adjoint_state = self.trajectory(), torch.randn(60, dtype=torch.float64)
        direct = trajectory.gradients(adjoint_state)
        monkeypatch.setattr(implicit, "DIRECT_LIMIT", 0)
        assert largest_difference(trajectory.gradients(adjoint_state), direct) == 0.0

    def test_or_an_error_raised(self, monkeypatch):
        trajectory = self.trajectory()
        monkeypatch.setattr(implicit, "DIRECT_LIMIT", 0)
        monkeypatch.setattr(implicit, "FACTOR_LIMIT", 0)
        message = r"transposed stage equations.*from t = .*relative residual of .*smaller steps"
        with pytest.raises(StageSolveError, match=message) as caught:
            trajectory.gradients(torch.randn(60, dtype=torch.float64))
        assert caught.value.t == trajectory.times(0)[0].item()
        assert caught.value.y.shape == (60,)


def test_a_singular_system_is_an_error(route):
    """y_n + h y = y has no solution, or all: there is no gradient."""
    y = torch.ones(2, dtype=torch.float64)
    trajectory = Trajectory("implicit_euler", Scaling(0.5), grid_of(0.0, 1.0), y)
    trajectory.f.rate.data.fill_(1.0)
    with pytest.raises(StageSolveError):
        trajectory.gradients(torch.ones(2, dtype=torch.float64))


class Scaling(nn.Module):
    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(rate, dtype=torch.float64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * y


@METHODS
def test_complex_states(method, route):
    """Against the same field on real and imaginary parts."""

    class Parts(Rotation):
        def forward(self, t, x):
            y = torch.view_as_complex(x.view(-1, 2))
            return torch.view_as_real(super().forward(t, y)).flatten()

    y = torch.randn(2, dtype=torch.complex128)
    adjoint_state = torch.randn(2, dtype=torch.complex128)
    grid = grid_of(0.0, 0.2, 0.5)
    mine = Trajectory(method, Rotation(), grid, y).gradients(adjoint_state)
    in_parts = Trajectory(method, Parts(), grid, torch.view_as_real(y).flatten())
    wanted = in_parts.textbook_gradients(torch.view_as_real(adjoint_state).flatten())
    mine[0] = torch.view_as_real(mine[0]).flatten()
    assert largest_difference(mine, wanted) < 1e-13


@METHODS
def test_single_precision(method, route):
    y, adjoint_state = torch.randn(2, 3)
    network = Network(dtype=torch.float32)
    mine = Trajectory(method, network, grid_of(0.0, 0.3, 0.9), y).gradients(adjoint_state)
    double = Trajectory(method, network.double(), grid_of(0.0, 0.3, 0.9), y.double())
    wanted = double.gradients(adjoint_state.double())
    assert mine[0].dtype == torch.float32
    assert largest_difference(mine, wanted) < 2e-6


@METHODS
def test_autograd_inside_f(method, route):
    y, adjoint_state = torch.randn(2, 4, dtype=torch.float64)
    trajectory = Trajectory(method, HamiltonianNetwork(), grid_of(0.0, 0.3, 0.9), y)
    mine = trajectory.gradients(adjoint_state)
    assert largest_difference(mine, trajectory.textbook_gradients(adjoint_state)) < 1e-13


@METHODS
def test_a_field_of_time_alone(method, route):
    class Clockwork(Scaling):
        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return (self.rate * torch.sin(t)).expand(len(y)) + torch.zeros_like(y.detach())

    y, adjoint_state = torch.randn(2, 3, dtype=torch.float64)
    trajectory = Trajectory(method, Clockwork(0.7), grid_of(0.1, 0.4, 0.9), y)
    state, rate, knots = trajectory.gradients(adjoint_state)
    assert relative_difference(state, adjoint_state) < 1e-14
    wanted = trajectory.textbook_gradients(adjoint_state)
    assert largest_difference([rate, knots], wanted[1:]) < 1e-13


@METHODS
def test_a_constant_field_has_no_gradient_but_the_state_s(method, route):
    class Constant(nn.Module):
        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.ones(len(y), dtype=y.dtype)

    y, adjoint_state = torch.randn(2, 3, dtype=torch.float64)
    trajectory = Trajectory(method, Constant(), grid_of(0.0, 0.4), y)
    state, knots = trajectory.gradients(adjoint_state)
    assert relative_difference(state, adjoint_state) < 1e-14
    total = adjoint_state.sum().item()
    assert knots.tolist() == pytest.approx([-total, total])


class Witness(torch.autograd.Function):
    """Leaves a mark in every graph that it is part of."""

    marks: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    class Mark:
        pass

    @staticmethod
    def forward(ctx, x):
        ctx.mark = Witness.Mark()
        Witness.marks.add(ctx.mark)
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        return cotangent


@METHODS
def test_graphs_alive_at_a_time(method):
    """One where stages are done one by one, and else those of one step."""
    alive = []

    class Watched(Network):
        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            alive.append(len(Witness.marks))
            return super().forward(t, Witness.apply(y))

    y, adjoint_state = torch.randn(2, 3, dtype=torch.float64)
    trajectory = Trajectory(method, Watched(), grid_of(0.0, 0.3, 0.9), y)
    s = trajectory.tableau.num_stages
    gc.disable()
    try:
        alive.clear()
        trajectory.gradients(adjoint_state)
    finally:
        gc.enable()
    if trajectory.tableau.is_diagonally_implicit:
        assert alive == [0] * (2 * s)
    else:
        assert alive == [*range(s), *range(s)]
    assert not Witness.marks


@METHODS
def test_evaluations_and_products_are_counted(method, route):
    y, adjoint_state = torch.randn(2, 3, dtype=torch.float64)
    trajectory = Trajectory(method, Network(), grid_of(0.0, 0.3), y)
    before, s = trajectory.field.nfe, trajectory.tableau.num_stages
    pullback = trajectory.gradients(adjoint_state, return_pullback=True)
    assert trajectory.field.nfe - before == pullback.num_evaluations == s
    num_implicit = sum(row[i] != 0 for i, row in enumerate(trajectory.tableau.a))
    assert pullback.num_calls >= s + 3 * num_implicit
    if route == "direct":
        assert pullback.num_calls == s + 3 * num_implicit
