"""GMRES against dense linear algebra, and what it says of systems that it cannot solve."""

import math

import pytest
import torch

from symadj.forward.krylov import gmres


def system(size, dtype=torch.float64, spread=0.5):
    """Return a matrix with eigenvalues about 1, not symmetric, and a right-hand side."""
    matrix = torch.eye(size, dtype=dtype) + spread * torch.randn(size, size, dtype=dtype) / (
        size**0.5
    )
    return matrix, torch.randn(size, dtype=dtype)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-15), (torch.float32, 4e-7)])
def test_to_rounding(dtype, rtol):
    matrix, rhs = system(200, dtype)
    found = gmres(lambda x: matrix @ x, rhs, rtol=rtol)
    wanted = torch.linalg.solve(matrix.double(), rhs.double())
    assert (found.solution - wanted).norm() < 20 * rtol * wanted.norm()
    assert found.residual < 4 * rtol
    assert found.num_products < 100


def test_stops_as_soon_as_the_residual_is_small_enough():
    matrix, rhs = system(200)
    products = [gmres(lambda x: matrix @ x, rhs, rtol=rtol).num_products for rtol in (1e-2, 1e-4)]
    assert products[0] < products[1] < 40
    found = gmres(lambda x: matrix @ x, rhs, rtol=1e-4)
    assert (rhs - matrix @ found.solution).norm() / rhs.norm() == pytest.approx(found.residual)
    assert found.residual <= 1e-4


def test_restarts():
    matrix, rhs = system(100)
    found = gmres(lambda x: matrix @ x, rhs, rtol=1e-13, restart=5)
    assert (rhs - matrix @ found.solution).norm() <= 1e-13 * rhs.norm()
    assert found.num_products > 20


def test_as_many_products_as_there_are_eigenvalues():
    diagonal = torch.tensor([1.0, 5.0, -3.0], dtype=torch.float64).repeat(20)
    rhs = torch.randn(60, dtype=torch.float64)
    found = gmres(lambda x: diagonal * x, rhs, rtol=1e-6)
    assert found.num_products == 3
    assert torch.allclose(found.solution, rhs / diagonal, rtol=1e-12)


def test_small_systems_need_no_more_products_than_unknowns():
    matrix, rhs = system(3)
    found = gmres(lambda x: matrix @ x, rhs, rtol=1e-15)
    assert torch.allclose(found.solution, torch.linalg.solve(matrix, rhs), rtol=1e-13)
    assert found.num_products <= 8


def test_nothing_to_solve():
    found = gmres(lambda x: 1 / 0, torch.zeros(5), rtol=1e-6)
    assert not found.solution.any()
    assert found.residual == 0.0


def test_a_singular_system_is_solved_as_far_as_it_can_be():
    diagonal = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    found = gmres(lambda x: diagonal * x, torch.ones(3, dtype=torch.float64), rtol=1e-12)
    assert found.residual == pytest.approx(1 / math.sqrt(3))
    nothing = gmres(lambda x: 0 * x, torch.ones(3, dtype=torch.float64), rtol=1e-12)
    assert nothing.residual == 1.0


def test_stagnation_ends_it():
    # A cyclic shift: no Krylov space but the whole contains anything of the solution.
    rhs = torch.zeros(100, dtype=torch.float64)
    rhs[0] = 1.0
    found = gmres(lambda x: x.roll(1), rhs, rtol=1e-6, restart=10)
    assert found.residual == pytest.approx(1.0)
    assert found.num_products < 20


def test_what_is_not_finite_shows_in_the_residual():
    assert math.isnan(gmres(lambda x: x / 0, torch.ones(4), rtol=1e-6).residual)
    assert math.isnan(gmres(lambda x: x, torch.full((4,), math.nan), rtol=1e-6).residual)


def test_products_are_limited():
    matrix, rhs = system(200, spread=3.0)
    calls = []
    found = gmres(lambda x: (calls.append(1), matrix @ x)[1], rhs, rtol=1e-12, max_products=15)
    assert found.num_products == len(calls) == 16
    assert found.residual > 1e-12
