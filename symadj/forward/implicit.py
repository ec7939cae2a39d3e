"""The stage equations of an implicit Runge-Kutta step, solved by Newton's method to rounding.

The slopes are the unknowns (A, b, c: Hairer & Wanner, Solving Ordinary Differential Equations II,
2nd ed., 1996, doi:10.1007/978-3-642-05221-7, IV.8)::

    k_i = f(t_n + c_i h, Y_i)        Y_i = y_n + h Σ_j a_ij k_j

    Newton:  dk_i - J_i (h Σ_j a_ij dk_j) = f(t_n + c_i h, Y_i) - k_i        J_i = (∂f/∂y)_i

Everything else in a step is linear in the slopes, so that it holds exactly for whatever slopes are
found; and the iterates are those for the unknowns Y_i, as Newton's method is affine covariant.
Solvers usually stop at a fraction of the error tolerance. Here the iteration goes on to rounding:
the gradient of a step is exact only as far as its stages solve their equations.

`symadj.adjoint.implicit` solves the same linear system, transposed: J_iᵀ for J_i, a_ji for a_ij.
"""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from symadj.errors import InvalidTypeError
from symadj.forward.krylov import MAX_PRODUCTS, gmres
from symadj.forward.products import product, sum_with_product
from symadj.tableaus import ButcherTableau

FlatField: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``f(t, y)`` on flat states, shape (n,) to shape (n,)."""

DIRECT_LIMIT = 128
"""Largest number of real unknowns for which the Jacobian is formed and factored at once."""

FACTOR_LIMIT = 2048
"""Largest number for which that is done where GMRES makes no headway, as with stiff problems."""

PATIENCE = 20
"""Products with the Jacobian after which GMRES makes no headway, if there is the other way."""

ROWS_AT_ONCE = 128
"""Rows of a Jacobian that are made by one backward pass: each keeps its own activations' gradients,
so this bounds the memory."""

MAX_ITERATIONS = 50
"""Newton iterations after which a step is given up."""

SLOW = 0.1
"""Contraction above which a Jacobian is not used again."""

_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


@dataclass(frozen=True, slots=True)
class StageSolution:
    """The stages of one implicit step.

    Attributes
    ----------
    stage_states : tuple of Tensor, shape (n,)
        ``Y_0 .. Y_{s-1}``.
    slopes : tuple of Tensor, shape (n,)
        ``k_0 .. k_{s-1}``, of which the stage states are made.
    converged : bool
        Whether they solve the stage equations to rounding.
    num_iterations : int
        Newton iterations, added up over the stages where these are solved for one by one.
    """

    stage_states: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    converged: bool
    num_iterations: int


@torch.no_grad()
def solve_stages(
    field: FlatField,
    tableau: ButcherTableau,
    y: Tensor,
    times: Sequence[Tensor],
    h: float,
    guess: Sequence[Tensor] | None = None,
) -> StageSolution:
    """Solve the stage equations of a step from ``y``.

    Up to `DIRECT_LIMIT` real unknowns (s n, or n for a diagonally implicit method, whose stages are
    solved for one by one) the linear systems are solved with a Jacobian made by reverse-mode
    differentiation of ``f``; beyond, by GMRES with differences of ``f`` for products with the
    Jacobian (Knoll & Keyes, J. Comput. Phys. 193, 2004, doi:10.1016/j.jcp.2003.08.010), which ask
    nothing of ``f`` and keep no graph. Where GMRES is slow the Jacobian is formed after all, up to
    `FACTOR_LIMIT`.

    Parameters
    ----------
    field : callable
        ``f(t, y)`` on flat states.
    tableau : ButcherTableau
        An implicit one.
    y : Tensor, shape (n,)
        The state ``y_n``.
    times : sequence of Tensor, shape ()
        Times of the stages; what follows them is not read.
    h : float
        Signed step size.
    guess : sequence of Tensor, shape (n,), optional
        Slopes to start from (see `extrapolate_slopes`). If they lead nowhere, or are not given, the
        iteration starts from stage states equal to ``y``, or from the stage before.

    Returns
    -------
    StageSolution
        Not converged where Newton's method fails: a smaller step may help.

    Raises
    ------
    InvalidTypeError
        If the state is of half precision.
    """
    _check_dtype(y)
    s = tableau.num_stages
    coupling = _matrix(tableau, y.dtype, y.device) * h
    slopes = y.new_zeros(s, y.numel())
    converged, num_iterations = True, 0
    if not tableau.is_diagonally_implicit:
        starts = [slopes] if guess is None else [torch.stack(list(guess)), slopes]
        found = _newton_from(starts, field, y.expand(s, -1), coupling, times[:s])
        slopes, converged, num_iterations = found.slopes, found.converged, found.num_iterations
    else:
        for i in range(s):
            known = sum_with_product(y, slopes[:i].T, coupling[i, :i])
            if tableau.a[i][i] == 0:
                slopes[i] = field(times[i], known)
                continue
            own = coupling[i : i + 1, i : i + 1]
            starts = [((y - known) / own).reshape(1, -1)]
            if guess is not None or i > 0:
                starts.insert(0, (slopes[i - 1] if guess is None else guess[i]).unsqueeze(0))
            found = _newton_from(starts, field, known.unsqueeze(0), own, times[i : i + 1])
            num_iterations += found.num_iterations
            slopes[i] = found.slopes[0]
            if not found.converged:
                converged = False
                break
    states = sum_with_product(y.expand(s, -1), coupling, slopes)
    return StageSolution(states.unbind(), slopes.unbind(), converged, num_iterations)


def extrapolate_slopes(
    tableau: ButcherTableau, slopes: Sequence[Tensor], ratio: float
) -> tuple[Tensor, ...]:
    """Guess the slopes of the next step: the derivative of this one's polynomial beyond its end.

    Parameters
    ----------
    tableau : ButcherTableau
        Implicit, with dense output.
    slopes : sequence of Tensor, shape (n,)
        The slopes of the step before.
    ratio : float
        Size of the next step over that of the step before.

    Returns
    -------
    tuple of Tensor, shape (n,)
        ``Σ_j w_j'(1 + c_i ratio) k_j`` for each stage.
    """
    rows = tableau.dense_output or ()
    weights = [
        [
            sum((k + 1) * float(x) * (1.0 + float(c) * ratio) ** k for k, x in enumerate(row))
            for row in rows[: len(slopes)]
        ]
        for c in tableau.c
    ]
    stacked = torch.stack(list(slopes))
    return product(stacked.new_tensor(weights), stacked).unbind()


@torch.no_grad()
def estimate_error(
    field: FlatField,
    tableau: ButcherTableau,
    y: Tensor,
    t: Tensor,
    h: float,
    slopes: Sequence[Tensor],
) -> Tensor:
    """Estimate the error of an implicit step.

    ``(I - hγJ)⁻¹ h (Σ_i (b_i - b̂_i) k_i - b̂_start f(t_n, y_n))`` with ``J = ∂f/∂y`` there (Hairer &
    Wanner II, (IV.8.19)): unfiltered, the estimate of an embedded method that is not stable at
    infinity would grow with the stiffness, though the step is good. The filter costs one evaluation
    of ``f``, with a graph, and one linear system of the size of the state.

    Parameters
    ----------
    field : callable
    tableau : ButcherTableau
        Implicit, with an error estimate.
    y : Tensor, shape (n,)
        The state ``y_n``.
    t : Tensor, shape ()
        Its time, ``t_n``.
    h : float
        Signed step size.
    slopes : sequence of Tensor, shape (n,)
        The slopes of the step.

    Returns
    -------
    Tensor, shape (n,)
        NaN where the linear system is singular: the step is then rejected.

    Raises
    ------
    ValueError
        If the tableau has no error estimate.
    """
    if tableau.error_weights is None:
        raise ValueError(f"tableau {tableau.name!r} has no error estimate: give it b_hat.")
    stacked = torch.stack(list(slopes))
    weights = stacked.new_tensor([h * float(x) for x in tableau.error_weights[: len(slopes)]])
    error = product(weights, stacked)
    if tableau.error_filter is None:
        if tableau.b_hat_start:
            error = error - h * float(tableau.b_hat_start) * field(t, y).to(y.dtype)
        return error
    coupling = y.new_full((1, 1), h * float(tableau.error_filter))
    for system in _systems(field, coupling, [t], y):
        start_slope = system.evaluate(y.unsqueeze(0), renew=True)[0]
        unfiltered = error - h * float(tableau.b_hat_start) * start_slope
        filtered = system.solve(unfiltered.unsqueeze(0))
        if filtered is not None:
            return filtered[0]
    return torch.full_like(error, math.nan)


# --- Newton's method -----------------------------------------------------------------------------


class _System(Protocol):
    """The stage equations, linearised: ``m`` stages of ``n`` entries."""

    def evaluate(self, states: Tensor, *, renew: bool) -> Tensor:
        """Return ``f`` at the states, shape (m, n), linearised there if that is to be renewed."""

    def solve(self, residual: Tensor) -> Tensor | None:
        """Return the ``dk``, shape (m, n), of Newton's equation; None where it is given up."""


@dataclass(frozen=True, slots=True)
class _Found:
    slopes: Tensor
    converged: bool
    num_iterations: int


def _newton_from(
    starts: Sequence[Tensor],
    field: FlatField,
    base: Tensor,
    coupling: Tensor,
    times: Sequence[Tensor],
) -> _Found:
    """Try one start after the other until Newton's method converges."""
    num_iterations = 0
    for start, system in itertools.product(starts, _systems(field, coupling, times, base[0])):
        found = _newton(system, base, coupling, start)
        num_iterations += found.num_iterations
        if found.converged:
            break
    return _Found(found.slopes, found.converged, num_iterations)


def _newton(system: _System, base: Tensor, coupling: Tensor, slopes: Tensor) -> _Found:
    """Solve ``k = f(base + coupling k)``, all of shape (m, n).

    A Jacobian is used again as long as the iteration contracts well with it. The iteration ends
    when the change that is still to come is below rounding in every entry of every state; or,
    where evaluating ``f`` makes rounding errors larger than that, when they alone are left.
    """
    eps = torch.finfo(slopes.dtype).eps
    rounding = eps**0.75  # 2e-12 or 6e-6, of the largest entry: room for what f makes of eps
    size, renew, num_growing = math.inf, True, 0
    for iteration in range(1, MAX_ITERATIONS + 1):
        states = sum_with_product(base, coupling, slopes)
        correction = system.solve(system.evaluate(states, renew=renew) - slopes)
        if correction is None:
            break
        new_size, largest = _sizes(product(coupling, correction), states, base)
        contraction = new_size / size if 0.0 < size < math.inf else 1.0
        is_at_rounding = largest <= rounding and contraction > 0.5
        if not renew and not is_at_rounding and not contraction <= 1.0:
            renew = True  # a change that the old Jacobian got wrong is not made
            continue
        if not math.isfinite(new_size):
            break
        slopes = slopes + correction
        if new_size * min(contraction, 1.0) <= eps or is_at_rounding:
            return _Found(slopes, True, iteration)
        num_growing = num_growing + 1 if contraction > 2.0 else 0
        if num_growing == 3:
            break
        renew, size = contraction > SLOW and iteration > 1, new_size
    return _Found(slopes, False, iteration)


def _sizes(change: Tensor, states: Tensor, base: Tensor) -> tuple[float, float]:
    """Return the largest change relative to its own entry, and relative to the largest entry."""
    scale, change = states.abs().add_(base.abs()), change.abs()
    top = torch.maximum(scale.max(), change.max()).clamp_min(torch.finfo(scale.dtype).tiny)
    # An entry that passes zero is measured against a small part of the largest.
    relative = (change / (scale + top * math.sqrt(torch.finfo(scale.dtype).eps))).max()
    size, largest = torch.stack([relative, change.max() / top]).tolist()
    return size, largest


# --- Linear systems ------------------------------------------------------------------------------


def as_real(x: Tensor) -> Tensor:
    """View complex vectors, shape (..., n), as real ones of length 2n; real ones as they are."""
    return torch.view_as_real(x).flatten(-2) if x.is_complex() else x


def as_kind_of(like: Tensor, x: Tensor) -> Tensor:
    """Undo `as_real`: view real vectors as complex where ``like`` is."""
    return torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2)) if like.is_complex() else x


def is_direct(num_stages: int, y: Tensor) -> bool:
    """Whether a system of that many stages of states like ``y`` is factored at once."""
    return _num_unknowns(num_stages, y) <= DIRECT_LIMIT


def can_factor(num_stages: int, y: Tensor) -> bool:
    """Whether it is factored where GMRES makes no headway."""
    return _num_unknowns(num_stages, y) <= FACTOR_LIMIT


def _num_unknowns(num_stages: int, y: Tensor) -> int:
    return num_stages * y.numel() * (2 if y.is_complex() else 1)


def state_jacobian(slope: Tensor, y: Tensor) -> Tensor:
    """Return ∂f/∂y, row by row from one graph, which is kept.

    Parameters
    ----------
    slope : Tensor, shape (n,)
        ``f``, with its graph.
    y : Tensor, shape (n,)
        The leaf of it.

    Returns
    -------
    Tensor, shape (n, n), or (2n, 2n) for complex states
        Real: a complex ``f`` need not be differentiable in the complex sense.
    """
    y_real = as_real(y.detach())
    size = y_real.numel()
    jacobian = torch.zeros(size, size, dtype=y_real.dtype, device=y.device)
    if not slope.requires_grad:
        return jacobian
    for first in range(0, size, ROWS_AT_ONCE):
        rows = jacobian[first : first + ROWS_AT_ONCE]
        cotangents = torch.zeros_like(rows)
        cotangents.diagonal(first).fill_(1.0)
        cotangents = as_kind_of(y, cotangents)
        if cotangents.is_complex() and not slope.is_complex():
            cotangents = cotangents.real
        pulled = _pull_rows(slope, y, cotangents.to(slope.dtype))
        if pulled is not None:
            rows.copy_(as_real(pulled))
    return jacobian


def _pull_rows(slope: Tensor, y: Tensor, cotangents: Tensor) -> Tensor | None:
    """Pull each row of cotangents, shape (k, n), back to the state; None where it has no part."""
    try:
        with warnings.catch_warnings():
            # "There is a performance drop ...": still faster than the loop, and not the user's.
            warnings.simplefilter("ignore", UserWarning)
            (pulled,) = torch.autograd.grad(
                slope, y, cotangents, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
    except (RuntimeError, ValueError):  # not every backward pass can be batched
        rows = [
            torch.autograd.grad(slope, y, row, retain_graph=True, allow_unused=True)[0]
            for row in cotangents
        ]
        return None if rows[0] is None else torch.stack(rows)
    else:
        return pulled


def stage_matrix(jacobians: Tensor, coupling: Tensor) -> Tensor:
    """Return the matrix of ``x_i - J_i Σ_j coupling_ij x_j``.

    Parameters
    ----------
    jacobians : Tensor, shape (m, n, n)
    coupling : Tensor, shape (m, m)

    Returns
    -------
    Tensor, shape (m n, m n)
    """
    m, n, _ = jacobians.shape
    matrix = (-coupling[:, None, :, None] * jacobians[:, :, None, :]).reshape(m * n, m * n)
    matrix.diagonal().add_(1.0)
    return matrix


class _Direct:
    """Newton's equation, its matrix formed and factored."""

    def __init__(self, field: FlatField, coupling: Tensor, times: Sequence[Tensor]) -> None:
        self._field = field
        self._coupling = coupling.real if coupling.is_complex() else coupling
        self._times = times
        self._factors: tuple[Tensor, Tensor] | None = None

    def evaluate(self, states: Tensor, *, renew: bool) -> Tensor:
        """Return ``f`` at the states; see `_System`."""
        if not renew and self._factors is not None:
            return _evaluate(self._field, self._times, states)
        slopes, jacobians = [], []
        for t, state in zip(self._times, states, strict=True):
            # Copies that autograd can work on, even where the solve runs in inference mode.
            with torch.inference_mode(False), torch.enable_grad():
                leaf = state.detach().clone().requires_grad_()
                slope = self._field(t.clone(), leaf)
                jacobians.append(state_jacobian(slope, leaf))
            slopes.append(slope.detach().to(state.dtype))
        matrix = stage_matrix(torch.stack(jacobians), self._coupling)
        # A singular matrix shows in what is not finite afterwards: no need to ask for it here.
        factors, pivots, _ = torch.linalg.lu_factor_ex(matrix)
        self._factors = factors, pivots
        return torch.stack(slopes)

    def solve(self, residual: Tensor) -> Tensor:
        """Return ``dk``; see `_System`."""
        if self._factors is None:
            raise RuntimeError("solve before evaluate: nothing has been factored yet.")
        flat = as_real(residual).reshape(-1, 1)
        solution = torch.linalg.lu_solve(*self._factors, flat)
        return as_kind_of(residual, solution.reshape(len(residual), -1))


class _Differences:
    """Newton's equation, solved by GMRES with differences of ``f``."""

    def __init__(
        self, field: FlatField, coupling: Tensor, times: Sequence[Tensor], max_products: int
    ) -> None:
        self._field = field
        self._coupling = coupling
        self._times = times
        self._max_products = max_products
        self._states = self._slopes = coupling

    def evaluate(self, states: Tensor, *, renew: bool) -> Tensor:
        """Return ``f`` at the states, about which it is linearised each time; see `_System`."""
        self._states = states
        self._slopes = _evaluate(self._field, self._times, states)
        return self._slopes

    def solve(self, residual: Tensor) -> Tensor | None:
        """Return ``dk``; see `_System`.

        To a few digits: those that are missing are the next iteration's affair.
        """
        eps = torch.finfo(residual.dtype).eps
        states, flat = self._states, as_real(residual)
        width = math.sqrt(eps) * states.abs().amax(1, keepdim=True)
        width = torch.where(width > 0, width, math.sqrt(eps))

        def operator(vector: Tensor) -> Tensor:
            v = as_kind_of(residual, vector.view_as(flat))
            direction = product(self._coupling, v)
            length = direction.abs().amax(1, keepdim=True)
            scale = torch.where(length > 0, width / length, 1.0)
            moved = _evaluate(self._field, self._times, states + scale * direction)
            return as_real(v - (moved - self._slopes) / scale).reshape(-1)

        rtol = max(1e-4, eps**0.4)
        found = gmres(operator, flat.reshape(-1), rtol=rtol, max_products=self._max_products)
        if not found.residual <= rtol:  # "not": NaN is not good either
            return None
        return as_kind_of(residual, found.solution.view_as(flat))


def _evaluate(field: FlatField, times: Sequence[Tensor], states: Tensor) -> Tensor:
    slopes = torch.empty_like(states)
    for slope, t, state in zip(slopes, times, states, strict=True):
        slope.copy_(field(t, state))
    return slopes


def _systems(
    field: FlatField, coupling: Tensor, times: Sequence[Tensor], y: Tensor
) -> Sequence[_System]:
    """Return the ways to solve Newton's equation, in the order in which they are to be tried."""
    direct = _Direct(field, coupling, times)
    if is_direct(len(coupling), y):
        return (direct,)
    if can_factor(len(coupling), y):
        return (_Differences(field, coupling, times, PATIENCE), direct)
    return (_Differences(field, coupling, times, MAX_PRODUCTS),)


@lru_cache(maxsize=64)
def _matrix(tableau: ButcherTableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return A, shape (s, s)."""
    rows = [[float(x) for x in row] for row in tableau.a]
    return torch.tensor(rows, dtype=torch.float64).to(device, dtype)


def _check_dtype(y: Tensor) -> None:
    if y.dtype not in _DTYPES:
        raise InvalidTypeError(
            f"The state is {y.dtype}, and an implicit method solves its stage equations to "
            f"rounding by linear algebra that needs one of {', '.join(map(str, _DTYPES))}. Pass "
            f"y0.float(), or choose an explicit method."
        )
