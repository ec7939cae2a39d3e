"""The stage equations are solved to rounding, or said not to be; and the error of a step."""

import math

import pytest
import torch
from torch import Tensor

from symadj.errors import InvalidTypeError
from symadj.forward import implicit
from symadj.forward.implicit import (
    estimate_error,
    extrapolate_slopes,
    solve_stages,
    state_jacobian,
)
from symadj.tableaus import IMPLICIT_TABLEAUS
from tests.fields import HamiltonianNetwork, Network

METHODS = pytest.mark.parametrize("method", IMPLICIT_TABLEAUS)
ADAPTIVE = [name for name, tableau in IMPLICIT_TABLEAUS.items() if tableau.is_adaptive]


@pytest.fixture(params=["direct", "gmres"])
def route(request, monkeypatch):
    limit = 10**6 if request.param == "direct" else 0
    monkeypatch.setattr(implicit, "DIRECT_LIMIT", limit)
    monkeypatch.setattr(implicit, "FACTOR_LIMIT", limit)
    return request.param


class Counted:
    """A field and how often it was evaluated."""

    def __init__(self, f) -> None:
        self.f = f
        self.nfe = 0

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        self.nfe += 1
        return self.f(t, y)


def stage_times(tableau, t, h, dtype=torch.float64):
    return [torch.tensor(t + float(c) * h, dtype=dtype) for c in tableau.c]


def defect(tableau, f, y, t, h, solution):
    """Largest change of a state by one fixed-point iteration, against the largest entry."""
    times = stage_times(tableau, t, h, y.dtype.to_real())
    slopes = torch.stack(
        [f(time, state).detach() for time, state in zip(times, solution.stage_states, strict=True)]
    )
    a = torch.tensor([[float(x) for x in row] for row in tableau.a], dtype=y.dtype)
    states = y + h * (a @ slopes)
    return max(
        ((new - old).abs().max() / old.abs().max()).item()
        for new, old in zip(states, solution.stage_states, strict=True)
    )


def van_der_pol(mu):
    return lambda t, y: torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def robertson(t, y):
    slow, fast, middle = 0.04 * y[0], 3e7 * y[1] ** 2, 1e4 * y[1] * y[2]
    return torch.stack([middle - slow, slow - middle - fast, fast])


def heat(t, y):
    """Diffusion with 4 (n + 1)² as its fastest rate, and a reaction."""
    ends = torch.zeros(1, dtype=y.dtype)
    padded = torch.cat([ends, y, ends])
    return (len(y) + 1) ** 2 * (padded[2:] - 2 * y + padded[:-2]) - y**3


class TestStageEquations:
    @METHODS
    @pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 1e-15), (torch.float32, 6e-7)])
    def test_hold_to_rounding(self, method, dtype, size, route):
        tableau, network = IMPLICIT_TABLEAUS[method], Network(dtype=dtype)
        y, t, h = torch.randn(3, dtype=dtype), 0.3, 0.8
        solution = solve_stages(network, tableau, y, stage_times(tableau, t, h, dtype), h)
        assert solution.converged
        assert {state.dtype for state in solution.stage_states + solution.slopes} == {dtype}
        assert not any(state.requires_grad for state in solution.stage_states + solution.slopes)
        assert defect(tableau, network, y, t, h, solution) < size

    @METHODS
    def test_stage_states_are_made_of_the_slopes(self, method):
        tableau, y = IMPLICIT_TABLEAUS[method], torch.randn(3, dtype=torch.float64)
        solution = solve_stages(Network(), tableau, y, stage_times(tableau, 0, -0.4), -0.4)
        for row, state in zip(tableau.a, solution.stage_states, strict=True):
            made = y - 0.4 * sum(float(a) * k for a, k in zip(row, solution.slopes, strict=True))
            assert (state - made).abs().max() < 1e-15
        if tableau.is_stiffly_accurate:
            step = y - 0.4 * sum(
                float(b) * k for b, k in zip(tableau.b, solution.slopes, strict=True)
            )
            assert (solution.stage_states[-1] - step).abs().max() < 1e-15

    @METHODS
    def test_with_a_complex_state(self, method, route):
        tableau, h = IMPLICIT_TABLEAUS[method], 0.5
        f = lambda t, y: (0.3 + 1j) * y * y.abs() + y.conj() * t
        y = torch.randn(4, dtype=torch.complex128)
        solution = solve_stages(f, tableau, y, stage_times(tableau, 0, h), h)
        assert solution.converged
        assert defect(tableau, f, y, 0, h, solution) < 1e-14

    @METHODS
    def test_with_autograd_inside_f(self, method, route):
        tableau, y, h = IMPLICIT_TABLEAUS[method], torch.randn(4, dtype=torch.float64), 0.5
        network = HamiltonianNetwork()
        solution = solve_stages(network, tableau, y, stage_times(tableau, 0, h), h)
        assert solution.converged
        assert defect(tableau, network, y.clone(), 0, h, solution) < 1e-15

    @METHODS
    @pytest.mark.parametrize(
        ("f", "y", "h"),
        [
            pytest.param(van_der_pol(1000.0), (2.0, -2 / 3e3), 1.0, id="van der Pol"),
            pytest.param(van_der_pol(1000.0), (2.0, 0.0), 1.0, id="van der Pol, off the manifold"),
            pytest.param(robertson, (1.0, 0.0, 0.0), 0.1, id="Robertson"),
            pytest.param(robertson, (0.98517, 3.3864e-5, 1.4794e-2), 40.0, id="Robertson, later"),
        ],
    )
    def test_stiff(self, method, f, y, h):
        """A Newton step from what was found, by the textbook's dense matrix, changes nothing."""
        tableau, y = IMPLICIT_TABLEAUS[method], torch.tensor(y, dtype=torch.float64)
        times = stage_times(tableau, 0, h)
        solution = solve_stages(f, tableau, y, times, h)
        assert solution.converged
        a = torch.tensor([[float(x) for x in row] for row in tableau.a], dtype=torch.float64)

        def residual(flat):
            k = flat.view(tableau.num_stages, -1)
            values = [f(t, state) for t, state in zip(times, y + h * (a @ k), strict=True)]
            return (torch.stack(values) - k).flatten()

        slopes = torch.stack(solution.slopes).flatten()
        matrix = torch.autograd.functional.jacobian(residual, slopes)
        change = -h * (a @ torch.linalg.solve(matrix, residual(slopes)).view(len(a), -1))
        # Against each entry's own size: Robertson's second is five powers of ten below the first.
        # Of an explicit first stage far off the manifold, h k_0 is 3000 times the state.
        scale = torch.stack(solution.stage_states).abs() + y.abs() + 1e-30
        assert (change.abs() / scale).max() < 5e-12

    def test_where_gmres_is_slow_the_jacobian_is_formed(self, monkeypatch):
        tableau, h = IMPLICIT_TABLEAUS["gl4"], 0.01
        y = torch.sin(torch.linspace(0.1, 3.0, 100, dtype=torch.float64))
        times = stage_times(tableau, 0, h)
        hybrid = Counted(heat)
        found = solve_stages(hybrid, tableau, y, times, h)
        monkeypatch.setattr(implicit, "FACTOR_LIMIT", 0)
        by_gmres = Counted(heat)
        slowly = solve_stages(by_gmres, tableau, y, times, h)
        assert found.converged
        assert slowly.converged
        assert hybrid.nfe < by_gmres.nfe / 4
        for one, other in zip(found.stage_states, slowly.stage_states, strict=True):
            assert (one - other).abs().max() < 1e-13

    @METHODS
    def test_a_linear_problem_takes_one_jacobian_and_two_iterations(self, method):
        tableau, y, h = IMPLICIT_TABLEAUS[method], torch.randn(3, dtype=torch.float64), 5.0
        matrix = torch.randn(3, 3, dtype=torch.float64)
        solution = solve_stages(lambda t, y: matrix @ y, tableau, y, stage_times(tableau, 0, h), h)
        num_solves = sum(row[i] != 0 for i, row in enumerate(tableau.a))
        num_solves = num_solves if tableau.is_diagonally_implicit else 1
        assert solution.converged
        assert solution.num_iterations <= 3 * num_solves

    def test_inference_mode(self):
        tableau, network = IMPLICIT_TABLEAUS["radauIIA3"], Network()
        y, h = torch.randn(3, dtype=torch.float64), 0.5
        wanted = solve_stages(network, tableau, y, stage_times(tableau, 0, h), h)
        with torch.inference_mode():
            found = solve_stages(network, tableau, y * 1, stage_times(tableau, 0, h), h)
        assert torch.equal(found.stage_states[-1], wanted.stage_states[-1])
        assert found.num_iterations == wanted.num_iterations  # there is a Jacobian there too

    def test_a_jacobian_that_leads_astray_is_renewed_before_it_does(self):
        """At the start of Robertson's problem it lacks the fastest reaction, which is quadratic."""
        tableau, y = IMPLICIT_TABLEAUS["implicit_euler"], torch.tensor([1.0, 0, 0]).double()
        solution = solve_stages(robertson, tableau, y, stage_times(tableau, 0, 0.1), 0.1)
        assert solution.converged
        assert solution.num_iterations < 25

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_refused(self, dtype):
        tableau = IMPLICIT_TABLEAUS["gl4"]
        with pytest.raises(InvalidTypeError, match=r"is torch\.b?float16.*y0\.float\(\)"):
            solve_stages(lambda t, y: y, tableau, torch.ones(2, dtype=dtype), [], 0.1)


class TestFailures:
    def test_equations_without_a_solution(self, route):
        # y = y_n + h (1 + y²) has none for h > 1/2.
        tableau = IMPLICIT_TABLEAUS["implicit_euler"]
        y = torch.zeros(2, dtype=torch.float64)
        f = Counted(lambda t, y: 1 + y**2)
        assert not solve_stages(f, tableau, y, stage_times(tableau, 0, 1.0), 1.0).converged
        assert solve_stages(f, tableau, y, stage_times(tableau, 0, 0.2), 0.2).converged

    @METHODS
    def test_not_a_number(self, method, route):
        tableau, y = IMPLICIT_TABLEAUS[method], torch.full((2,), -1.0, dtype=torch.float64)
        solution = solve_stages(
            lambda t, y: torch.sqrt(y), tableau, y, stage_times(tableau, 0, 0.1), 0.1
        )
        assert not solution.converged
        assert solution.num_iterations <= 2

    def test_a_singular_matrix(self, route):
        tableau, y = IMPLICIT_TABLEAUS["implicit_euler"], torch.ones(2, dtype=torch.float64)
        assert not solve_stages(
            lambda t, y: y, tableau, y, stage_times(tableau, 0, 1.0), 1.0
        ).converged


class TestGuess:
    @METHODS
    def test_slopes_that_are_a_polynomial_are_extrapolated_exactly(self, method):
        """As far as the degree of the method's own polynomial allows: here, constant or linear."""
        tableau = IMPLICIT_TABLEAUS[method]
        degree = len(tableau.dense_output[0]) - 1
        slope = lambda t: torch.tensor([2.0 + (3.0 * t if degree else 0.0)], dtype=torch.float64)
        h, ratio = 0.5, 1.7
        slopes = [slope(float(c) * h) for c in tableau.c]
        guess = extrapolate_slopes(tableau, slopes, ratio)
        for c, found in zip(tableau.c, guess, strict=True):
            assert found.item() == pytest.approx(slope(h + float(c) * h * ratio).item(), rel=1e-13)

    @METHODS
    def test_a_good_guess_saves_iterations(self, method):
        tableau, network, h = IMPLICIT_TABLEAUS[method], Network(), 0.05
        y = torch.randn(3, dtype=torch.float64)
        first = solve_stages(network, tableau, y, stage_times(tableau, 0, h), h)
        b = torch.tensor([float(x) for x in tableau.b], dtype=torch.float64)
        y = y + h * (b @ torch.stack(first.slopes))
        times = stage_times(tableau, h, h)
        cold = solve_stages(network, tableau, y, times, h)
        guess = extrapolate_slopes(tableau, first.slopes, 1.0)
        warm = solve_stages(network, tableau, y, times, h, guess)
        assert warm.num_iterations <= cold.num_iterations
        again = solve_stages(network, tableau, y, times, h, cold.slopes)
        assert again.num_iterations < cold.num_iterations
        for one, other in zip(warm.slopes, cold.slopes, strict=True):
            assert (one - other).abs().max() < 1e-14

    @METHODS
    def test_a_bad_guess_does_no_harm(self, method, route):
        tableau, network, h = IMPLICIT_TABLEAUS[method], Network(), 0.3
        y, times = torch.randn(3, dtype=torch.float64), stage_times(tableau, 0, h)
        cold = solve_stages(network, tableau, y, times, h)
        bad = [torch.full((3,), math.nan, dtype=torch.float64)] * tableau.num_stages
        found = solve_stages(network, tableau, y, times, h, bad)
        assert found.converged
        for one, other in zip(found.slopes, cold.slopes, strict=True):
            assert (one - other).abs().max() < 1e-14


class OneByOne(torch.autograd.Function):
    """A cube whose backward pass looks at numbers, and so cannot be batched."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, cotangent):
        (x,) = ctx.saved_tensors
        assert math.isfinite(cotangent.sum().item())
        return 3 * x**2 * cotangent


class TestJacobian:
    def jacobian(self, f, y):
        y = y.clone().requires_grad_()
        return state_jacobian(f(y), y)

    @pytest.mark.parametrize("rows", [2, 128])
    def test_is_autograd_s(self, rows, monkeypatch):
        monkeypatch.setattr(implicit, "ROWS_AT_ONCE", rows)
        network, y = Network(5), torch.randn(5, dtype=torch.float64)
        f = lambda y: network(torch.tensor(0.3, dtype=torch.float64), y)
        wanted = torch.autograd.functional.jacobian(f, y)
        assert (self.jacobian(f, y) - wanted).abs().max() < 1e-15

    def test_of_a_backward_pass_that_cannot_be_batched(self):
        y = torch.randn(4, dtype=torch.float64)
        f = lambda y: OneByOne.apply(y) * y.sum()
        wanted = torch.autograd.functional.jacobian(f, y)
        assert (self.jacobian(f, y) - wanted).abs().max() < 1e-14

    def test_of_a_complex_function_is_that_of_its_parts(self):
        y = torch.randn(2, dtype=torch.complex128)
        f = lambda y: (1 + 2j) * y * y.abs().sum() + y.conj()
        as_parts = lambda x: torch.view_as_real(f(torch.view_as_complex(x.view(2, 2)))).flatten()
        wanted = torch.autograd.functional.jacobian(as_parts, torch.view_as_real(y).flatten())
        assert (self.jacobian(f, y) - wanted).abs().max() < 1e-14

    def test_where_f_does_not_depend_on_the_state(self):
        y, other = torch.ones(3), torch.ones(3, requires_grad=True)
        assert not self.jacobian(lambda y: torch.ones(3), y).any()
        assert not self.jacobian(lambda y: 2 * other, y).any()


class TestErrorEstimate:
    def estimate(self, method, f, y, h):
        tableau, start = IMPLICIT_TABLEAUS[method], torch.tensor(0.0, dtype=torch.float64)
        solution = solve_stages(f, tableau, y, stage_times(tableau, 0, h), h)
        return estimate_error(f, tableau, y, start, h, solution.slopes)

    @pytest.mark.parametrize(("method", "order"), [("trbdf2", 2), ("radauIIA5", 3)])
    def test_order(self, method, order, route):
        """The error of the less accurate method of the pair: of order h^(order + 1)."""
        network, y = Network(), torch.randn(3, dtype=torch.float64)
        sizes = [self.estimate(method, network, y, h).norm().item() for h in (0.1, 0.05)]
        assert math.log2(sizes[0] / sizes[1]) == pytest.approx(order + 1, abs=0.3)

    def test_trbdf2_s_is_its_error(self):
        """b_hat is the more accurate one there."""
        rate, h = -0.8, 0.02
        y = torch.ones(1, dtype=torch.float64)
        tableau = IMPLICIT_TABLEAUS["trbdf2"]
        solution = solve_stages(lambda t, y: rate * y, tableau, y, stage_times(tableau, 0, h), h)
        error = solution.stage_states[-1].item() - math.exp(rate * h)
        assert self.estimate("trbdf2", lambda t, y: rate * y, y, h).item() == pytest.approx(
            error, rel=0.05
        )

    @pytest.mark.parametrize("z", [-0.3, -5.0, -1e4])
    def test_radau_s_is_hairer_and_wanner_s(self, z):
        """(IV.8.17)-(IV.8.19), by their numbers, for y' = z y and h = 1."""
        tableau, y = IMPLICIT_TABLEAUS["radauIIA5"], torch.ones(1, dtype=torch.float64)
        gamma = (6 + 81 ** (1 / 3) - 9 ** (1 / 3)) / 30
        e = [gamma / 3 * x for x in (-13 - 7 * 6**0.5, -13 + 7 * 6**0.5, -1)]
        solution = solve_stages(lambda t, y: z * y, tableau, y, stage_times(tableau, 0, 1.0), 1.0)
        rises = [state.item() - 1 for state in solution.stage_states]
        wanted = (gamma * z + sum(x * rise for x, rise in zip(e, rises, strict=True))) / (
            1 - gamma * z
        )
        found = self.estimate("radauIIA5", lambda t, y: z * y, y, 1.0).item()
        assert abs(found) == pytest.approx(abs(wanted), rel=1e-10)

    @pytest.mark.parametrize("method", ADAPTIVE)
    def test_stays_bounded_however_stiff_the_problem(self, method, route):
        y = torch.ones(1, dtype=torch.float64)
        sizes = [
            abs(self.estimate(method, lambda t, y, z=z: z * y, y, 1.0).item()) for z in (-1e3, -1e6)
        ]
        assert sizes[1] < 2
        assert sizes[1] == pytest.approx(sizes[0], rel=0.05)

    def test_complex(self):
        f = lambda t, y: (-3 + 2j) * y
        y = torch.ones(1, dtype=torch.complex128)
        apart = lambda t, y: torch.stack([-3 * y[0] - 2 * y[1], 2 * y[0] - 3 * y[1]])
        for method in ADAPTIVE:
            found = self.estimate(method, f, y, 0.5)
            wanted = self.estimate(method, apart, torch.tensor([1.0, 0], dtype=torch.float64), 0.5)
            assert torch.allclose(torch.view_as_real(found)[0], wanted, rtol=1e-12)

    def test_of_a_method_without(self):
        with pytest.raises(ValueError, match="'gl4' has no error estimate"):
            self.estimate("gl4", lambda t, y: -y, torch.ones(1, dtype=torch.float64), 0.1)

    def test_a_singular_filter_gives_no_number(self, route):
        tableau = IMPLICIT_TABLEAUS["trbdf2"]
        y, t = torch.ones(2, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64)
        h = 1 / float(tableau.error_filter)
        found = estimate_error(lambda t, y: y, tableau, y, t, h, [y, y, 2 * y])
        assert not torch.isfinite(found).all() or found.abs().max() > 1e10


@METHODS
def test_observed_order(method):
    tableau, order = IMPLICIT_TABLEAUS[method], IMPLICIT_TABLEAUS[method].order
    f = lambda t, y: y * torch.cos(t)
    b = [float(x) for x in tableau.b]

    def error_at_two(num_steps):
        h, y = 2 / num_steps, torch.ones(1, dtype=torch.float64)
        for n in range(num_steps):
            solution = solve_stages(f, tableau, y, stage_times(tableau, n * h, h), h)
            y = y + h * sum(x * k for x, k in zip(b, solution.slopes, strict=True))
        return abs(y.item() - math.exp(math.sin(2.0)))

    coarse = 16 if order >= 5 else 64
    observed = math.log2(error_at_two(coarse) / error_at_two(2 * coarse))
    assert observed == pytest.approx(order, abs=0.2)


@METHODS
def test_observed_order_inside_a_step(method):
    """One step of an output of order p has an error of order p + 1."""
    tableau = IMPLICIT_TABLEAUS[method]
    f = lambda t, y: y * torch.cos(t + 1)

    def error_at(theta, h):
        y = torch.ones(1, dtype=torch.float64)
        slopes = solve_stages(f, tableau, y, stage_times(tableau, 0, h), h).slopes
        for row, k in zip(tableau.dense_output, slopes, strict=False):
            y = y + h * k * sum(float(x) * theta ** (i + 1) for i, x in enumerate(row))
        return abs(y.item() - math.exp(math.sin(theta * h + 1) - math.sin(1.0)))

    order = 1 if method in ("implicit_euler", "implicit_midpoint") else 2
    order = 3 if method in ("gl6", "radauIIA5") else order
    observed = math.log2(error_at(0.3, 0.1) / error_at(0.3, 0.05))
    assert observed == pytest.approx(order + 1, abs=0.6)
