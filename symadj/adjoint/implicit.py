"""One implicit Runge-Kutta step transposed: the stage equations of `symadj.forward.implicit`.

With ``λ`` the adjoint state, ``μ_i`` the cotangent of the slope ``k_i`` and ``g`` that of an output
inside the step, as in `symadj.adjoint.step`::

    ℓ_i = J_iᵀ μ_i        μ_i = g_i + h Σ_j a_ji ℓ_j        g_i = h ( b_i λ_{n+1} + Σ_out w_i(θ) g )

    μ_i - h Σ_j a_ji J_jᵀ μ_j = g_i

    λ_n = λ_{n+1} + Σ_i ℓ_i + Σ_out g

It is Newton's equation of the forward step, its matrix transposed; and it is linear, so there is
nothing to iterate: this is the derivative of the implicit function that a step is.

Once the ``μ_i`` are known, the ``ℓ_i`` follow from them in two ways, and which is taken matters for
stiff problems. In a stiff direction ``μ_i`` is small by cancellation and J_i large, so J_iᵀ μ_i
carries rounding errors h |J_i| times as large as those of ``h Σ_j a_ji ℓ_j = μ_i - g_i`` solved for
the ``ℓ_j``. (To solve for the ``ℓ_i`` first, and make the ``μ_i`` of them, loses digits the other
way round: in the gradient of the parameters.)
"""

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from symadj.adjoint.evaluation import Evaluation
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.step import OutputCotangents, Stages, StepAdjoint
from symadj.errors import StageSolveError
from symadj.forward.implicit import as_kind_of, as_real, can_factor, is_direct, stage_matrix
from symadj.forward.krylov import MAX_PRODUCTS, RESTART, gmres
from symadj.forward.products import product
from symadj.tableaus import ButcherTableau


class AdjointSlopes:
    """What the stages of an implicit step hand on to the adjoint state, side by side.

    Parameters
    ----------
    columns : Tensor, shape (n, s)
        Where it is written to.

    Attributes
    ----------
    columns : Tensor, shape (n, s)
    each : tuple of Tensor, shape (n,)
        ``ℓ_i``: views of the columns.
    after : list of Tensor, shape (n, s - 1 - i)
        ``ℓ_{i+1} .. ℓ_{s-1}``, views too.
    """

    __slots__ = ("after", "columns", "each")

    def __init__(self, columns: Tensor) -> None:
        self.columns = columns
        self.each = columns.unbind(1)
        self.after = [columns[:, i + 1 :] for i in range(columns.shape[1])]


def implicit_adjoint_step(
    adjoint: StepAdjoint,
    slopes: AdjointSlopes,
    index: int,
    h: float,
    times: Sequence[Tensor],
    stages: Stages,
    adjoint_state: Tensor,
    inside: OutputCotangents | None = None,
    handed_on: Tensor | None = None,
) -> Tensor:
    """Carry the adjoint state across one implicit step, from its end to its start.

    The stages of a diagonally implicit method are done one by one, from the last to the first, and
    one stage's graph is alive at a time; those of any other are coupled, and all their graphs are
    alive at once.

    Parameters
    ----------
    adjoint : StepAdjoint
        Its weights are those of the step's size.
    slopes : AdjointSlopes
        Written to.
    index : int
        Which step this is.
    h : float
        Step size.
    times : sequence of Tensor, shape ()
        Times of the slopes.
    stages : Stages
        Their states may lie in the rows of the adjoint slopes, which are written last.
    adjoint_state : Tensor, shape (n,)
        ``λ_{n+1}``.
    inside : OutputCotangents, optional
        Cotangents of the outputs inside the step.
    handed_on : Tensor, shape (n,), optional
        A further cotangent of ``k_0``.

    Returns
    -------
    Tensor, shape (n,)
        ``λ_n``.

    Raises
    ------
    StageSolveError
        If the linear system cannot be solved to rounding.
    """
    s, all_slopes = adjoint.weights.num_stages, slopes.columns.T
    stage_states = [stages.states[i] for i in range(s)]
    coupling = adjoint.weights.rows[:s, :s].T  # h a_ji
    load = partial(_load, adjoint, h, adjoint_state, inside, handed_on)
    stage = _Stage(adjoint, slopes, index, h)
    try:
        if adjoint.tableau.is_diagonally_implicit:
            for i in reversed(range(s)):
                known = load(i).addmv_(slopes.after[i], coupling[i, i + 1 :])
                stage.pull_alone(i, times[i], stage_states[i], known, coupling[i, i])
        else:
            loads = torch.stack([load(i) for i in range(s)])
            evaluations = [
                adjoint.pullback.evaluate_flat(t, y)
                for t, y in zip(times[:s], stage_states, strict=True)
            ]
            cotangents = _solve(adjoint.pullback, evaluations, coupling, loads)
            for i in reversed(range(s)):
                stage.collect(i, evaluations.pop(), cotangents[i])
            # Not before: the stage states may lie in these rows.
            inverse = _inverse(adjoint.tableau, loads.dtype, loads.device)
            torch.mm(inverse, (cotangents - loads).div_(h), out=all_slopes)
    except _UnsolvedError as error:
        field = adjoint.pullback.field
        raise StageSolveError(
            f"The transposed stage equations of the step of size {abs(h):.3g} from t = "
            f"{times[0].item()!r} could be solved only to a relative residual of "
            f"{error.residual:.1e}, where {error.allowed:.1e} is allowed: the gradient would not "
            f"be exact. Take smaller steps or, where possible, float64.",
            t=times[0].item(),
            y=field.packing.unpack(stage_states[0]),
        ) from None
    total = all_slopes.sum(0).add_(adjoint_state)
    return total if inside is None else total.add_(inside.cotangents.sum(0))


def _load(
    adjoint: StepAdjoint,
    h: float,
    adjoint_state: Tensor,
    inside: OutputCotangents | None,
    handed_on: Tensor | None,
    i: int,
) -> Tensor:
    """Return ``g_i``, shape (n,): the part of a slope's cotangent that is known beforehand."""
    load = adjoint_state * (h * float(adjoint.tableau.b[i]))
    if inside is not None:
        load += inside.of_slope(i)
    if handed_on is not None and i == 0:
        load += handed_on
    return load


class _Stage:
    """What is done with single stages of one step."""

    def __init__(self, adjoint: StepAdjoint, slopes: AdjointSlopes, index: int, h: float) -> None:
        self._adjoint = adjoint
        self._slopes = slopes
        self._index = index
        self._h = h

    def pull_alone(
        self, i: int, t: Tensor, y: Tensor, cotangent: Tensor, own_weight: Tensor
    ) -> None:
        """Solve for ``ℓ_i`` where the stages after it are done, and collect its gradients.

        Parameters
        ----------
        i : int
        t : Tensor, shape ()
        y : Tensor, shape (n,)
            The stage state.
        cotangent : Tensor, shape (n,)
            ``μ_i`` without the stage's own part in it.
        own_weight : Tensor, shape ()
            ``h a_ii``.
        """
        row = self._slopes.each[i]
        evaluation = self._adjoint.pullback.evaluate_flat(t, y)
        if self._adjoint.tableau.a[i][i] == 0:
            pulled = self.collect(i, evaluation, cotangent)
            if pulled is None:
                row.zero_()
            else:
                row.copy_(pulled)
            return
        coupling, load = own_weight.reshape(1, 1), cotangent.unsqueeze(0)
        (solved,) = _solve(self._adjoint.pullback, [evaluation], coupling, load)
        self.collect(i, evaluation, solved)
        # Not before: the stage state may lie in this row.
        torch.div(solved - cotangent, own_weight, out=row)

    def collect(self, i: int, evaluation: Evaluation, cotangent: Tensor) -> Tensor | None:
        """Pull the final ``μ_i`` back: see `StepAdjoint.collect`."""
        pulled = self._adjoint.pullback.pull(evaluation, cotangent)
        node = self._adjoint.weights.c_numbers[i]
        return self._adjoint.collect(self._index, node, self._h, pulled, cotangent)


class _UnsolvedError(Exception):
    """A linear system was not solved well enough."""

    def __init__(self, residual: float, allowed: float) -> None:
        super().__init__()
        self.residual = residual
        self.allowed = allowed


def _solve(
    pullback: Pullback, evaluations: Sequence[Evaluation], coupling: Tensor, loads: Tensor
) -> Tensor:
    """Solve ``μ_i - Σ_j coupling_ij J_jᵀ μ_j = g_i``.

    Parameters
    ----------
    pullback : Pullback
    evaluations : sequence of Evaluation
        Of ``m`` stages; their graphs are kept.
    coupling : Tensor, shape (m, m)
        ``h a_ji``.
    loads : Tensor, shape (m, n)
        ``g_i``.

    Returns
    -------
    Tensor, shape (m, n)
    """
    if is_direct(len(evaluations), loads[0]):
        return _solve_direct(pullback, evaluations, coupling, loads)

    flat = as_real(loads)

    def operator(vector: Tensor) -> Tensor:
        cotangents = as_kind_of(loads, vector.view_as(flat))
        pulled = torch.zeros_like(cotangents)
        for row, evaluation, cotangent in zip(pulled, evaluations, cotangents, strict=True):
            state = pullback.pull_state(evaluation, cotangent)
            if state is not None:
                row.copy_(state)
        return as_real(cotangents - product(coupling, pulled)).reshape(-1)

    eps = torch.finfo(loads.dtype).eps
    is_factorable = can_factor(len(evaluations), loads[0])
    max_products = RESTART if is_factorable else MAX_PRODUCTS
    found = gmres(operator, flat.reshape(-1), rtol=4 * eps, max_products=max_products)
    allowed = eps**0.75
    if not found.residual <= allowed:  # "not": NaN is not allowed either
        if is_factorable:
            return _solve_direct(pullback, evaluations, coupling, loads)
        raise _UnsolvedError(found.residual, allowed)
    return as_kind_of(loads, found.solution.view_as(flat))


def _solve_direct(
    pullback: Pullback, evaluations: Sequence[Evaluation], coupling: Tensor, loads: Tensor
) -> Tensor:
    """Solve as `_solve` does, by the factored matrix of the forward step, transposed."""
    jacobians = torch.stack([pullback.jacobian(evaluation) for evaluation in evaluations])
    weights = coupling.real if coupling.is_complex() else coupling
    matrix = stage_matrix(jacobians, weights.T)
    solution, _ = torch.linalg.solve_ex(matrix.T, as_real(loads).reshape(-1))
    if not bool(torch.isfinite(solution).all()):
        raise _UnsolvedError(math.nan, torch.finfo(loads.dtype).eps ** 0.75)
    return as_kind_of(loads, solution.reshape(len(loads), -1))


@lru_cache(maxsize=64)
def _inverse(tableau: ButcherTableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the inverse of Aᵀ, shape (s, s); a method with coupled stages needs one."""
    rows = [[float(x) for x in row] for row in tableau.a]
    inverse: Tensor = torch.linalg.inv(torch.tensor(rows, dtype=torch.float64))
    return inverse.T.to(device, dtype)
