"""Vector-Jacobian products of the field, and the parameters' gradient that they add up to."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from types import NoneType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from symadj.adjoint.evaluation import Evaluation, Root, evaluate
from symadj.adjoint.vjp import vjp
from symadj.captured import KnownTensors
from symadj.forward.field import Field
from symadj.forward.implicit import state_jacobian


class Pulled(NamedTuple):
    """One vector-Jacobian product.

    Attributes
    ----------
    state : Tensor, shape (n,), or None
        ``(∂f/∂y)ᵀ μ``; None where ``f`` does not depend on the state.
    time : Tensor, shape (), or None
        ``(∂f/∂t)ᵀ μ``; None where it is not wanted, or ``f`` does not depend on time.
    slope : Tensor, shape (n,), or None
        The slope itself, cut from its graph; where time's gradient is wanted.
    """

    state: Tensor | None
    time: Tensor | None
    slope: Tensor | None


class Pullback:
    """Pulls cotangents of slopes back through ``f``.

    Called, it does so through one evaluation's graph, and that is gone when it returns. Where one
    graph must serve more than one cotangent (the stage equations of an implicit step, transposed),
    `evaluate` makes it, `pull_state` uses it, and `pull` uses it for the last time.

    Parameters
    ----------
    field : Field
    params : sequence of Tensor
        What gets a gradient beside state and time.
    num_required : int, optional
        How many of ``params``, from the first on, get zeros where ``f`` does not use them; the
        others get None. All, unless given.
    want_time : bool
        Whether gradients with respect to time are wanted.
    is_complete : bool
        Whether ``params`` are to be all that ``f`` reads, so that another one is an error.
    are_batches : bool
        Whether each cotangent is a batch of them, by ``torch.func.vmap``.
    keeps_graphs : bool
        Whether a graph that was pulled back through is to be used again.

    Attributes
    ----------
    field : Field
    param_gradients : list of Tensor or None
        Sum of ``(∂f/∂θ)ᵀ μ`` over all calls, one for each of ``params``. Added to in place: beside
        it there is only ever one call's own contribution.
    looks : bool
        Whether the next evaluation is looked at for tensors that are not known.
    num_calls : int
        Vector-Jacobian products so far.
    num_evaluations : int
        Evaluations with a graph so far.
    by_graph : callable or None
        Does what a call of this does, by a compiled graph, unless it returns None.
    """

    def __init__(
        self,
        field: Field,
        params: Sequence[Tensor],
        *,
        want_time: bool,
        num_required: int | None = None,
        is_complete: bool = False,
        are_batches: bool = False,
        keeps_graphs: bool = False,
    ) -> None:
        self.field = field
        self._params = tuple(params)
        self._want_time = want_time
        self.param_gradients: list[Tensor | None] = [
            torch.zeros_like(param) if num_required is None or place < num_required else None
            for place, param in enumerate(params)
        ]
        self._are_batches, self._keeps_graphs = are_batches, keeps_graphs
        has_all = num_required is None or num_required >= len(params)
        self._adds_all = bool(params) and has_all and not are_batches
        self._is_complete = is_complete
        # A module shows most of what it reads, and is looked at once a step; a function always.
        self.looks = self._always_looks = not isinstance(field.func, nn.Module)
        self.num_calls = 0
        self.num_evaluations = 0
        self.by_graph: Callable[[Tensor, Tensor, Tensor], Pulled | None] | None = None

    def __call__(self, t: Tensor, y: Tensor, cotangent: Tensor) -> Pulled:
        """Evaluate ``f`` at ``(t, y)`` with a graph, and pull ``cotangent`` back through it.

        To be called in grad mode, which is then entered once for many evaluations.

        Parameters
        ----------
        t : Tensor, shape ()
        y, cotangent : Tensor, shape (n,)
        """
        if self.by_graph is not None:
            pulled = self.by_graph(t, y, cotangent)
            if pulled is not None:
                return pulled
        return self.pull(self.evaluate(t, y), cotangent)

    def evaluate(self, t: Tensor, y: Tensor) -> Evaluation:
        """Evaluate ``f`` at ``(t, y)`` with a graph, which lives as long as what is returned.

        To be called in grad mode.
        """
        evaluation = evaluate(self.field, t, y, want_time=self._want_time)
        self.num_evaluations += 1
        if self.looks:
            self._look(evaluation)
        return evaluation

    def evaluate_flat(self, t: Tensor, y: Tensor) -> Evaluation:
        """Evaluate ``f`` as `evaluate` does, on the flat state, for what looks at it as a whole."""
        leaf = y.detach().requires_grad_()
        t = t.detach().requires_grad_(self._want_time)
        with torch.enable_grad():
            slope = self.field(t, leaf)
        evaluation = Evaluation(t, (leaf,), (slope,))
        self.num_evaluations += 1
        if self.looks:
            self._look(evaluation)
        return evaluation

    def look_at(self, evaluations: Iterable[Evaluation]) -> None:
        """Look at evaluations that were made before, until one has shown enough."""
        for evaluation in evaluations:
            if self.looks:
                self._look(evaluation)

    @cached_property
    def _known(self) -> KnownTensors:
        return KnownTensors(self._params)

    def _look(self, evaluation: Evaluation) -> None:
        """Look at the graph of an evaluation for tensors that are not known."""
        if not self._is_complete:
            self.looks = False
            return
        roots = evaluation.roots
        self.looks = self._always_looks or not roots
        for root in roots:
            self._known.check(root, evaluation.t, *evaluation.leaves)

    def slope_of(self, evaluation: Evaluation) -> Tensor:
        """Return the slope, shape (n,), cut from its graph."""
        return evaluation.slope(self.field.packing)

    def without_slopes(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation that keeps its graph alive, but no slope that the graph does not.

        Unless time's gradient is wanted, which needs the slopes.
        """
        return evaluation if self._want_time else evaluation.without_slopes()

    def pull_state(self, evaluation: Evaluation, cotangent: Tensor) -> Tensor | None:
        """Return ``(∂f/∂y)ᵀ μ`` alone; the graph, of a flat state, is kept."""
        slope = _only_slope(evaluation)
        if not slope.requires_grad:
            return None
        self.num_calls += 1
        (state,) = torch.autograd.grad(
            slope,
            evaluation.leaves,
            cotangent.to(slope.dtype),
            retain_graph=True,
            allow_unused=True,
        )
        return state

    def jacobian(self, evaluation: Evaluation) -> Tensor:
        """Return ∂f/∂y as `state_jacobian` does, row by row; the graph is kept."""
        (leaf,), slope = evaluation.leaves, _only_slope(evaluation)
        jacobian = state_jacobian(slope, leaf)
        self.num_calls += len(jacobian)
        return jacobian

    def pull(self, evaluation: Evaluation, cotangent: Tensor) -> Pulled:
        """Pull ``cotangent`` back through an evaluation, and free its graph, unless it is kept."""
        self.num_calls += 1
        t, leaves, slopes = evaluation
        flat = self.slope_of(evaluation) if self._want_time else None
        outputs, cotangents = self._differentiable(slopes, cotangent)
        if not outputs:
            return Pulled(None, None, flat)
        times = (t,) if self._want_time else ()
        inputs = (*times, *leaves, *self._params)
        pulled = vjp(outputs, cotangents, inputs, keeps_graph=self._keeps_graphs)
        first, last = len(times), len(times) + len(leaves)
        self.accumulate(pulled[last:])
        time = pulled[0] if self._want_time else None
        return Pulled(_joined(pulled[first:last], leaves), time, flat)

    def _differentiable(
        self, slopes: Sequence[Tensor | Root], cotangent: Tensor
    ) -> tuple[tuple[Tensor | GradientEdge, ...], tuple[Tensor, ...]]:
        """Return those slopes through which a gradient flows, and their cotangents."""
        if len(slopes) == 1 and slopes[0].shape == cotangent.shape:  # perhaps of a flat state
            parts: Sequence[Tensor] = (cotangent,)
        else:
            parts = self.field.packing.split(cotangent)
        outputs: list[Tensor | GradientEdge] = []
        cotangents = []
        for slope, part in zip(slopes, parts, strict=True):
            if isinstance(slope, Root):
                outputs.append(slope.edge)
            elif slope.requires_grad:
                outputs.append(slope)
            else:
                continue
            cotangents.append(part if part.dtype is slope.dtype else part.to(slope.dtype))
        return tuple(outputs), tuple(cotangents)

    def count(self, num_stages: int) -> None:
        """Count stages that were evaluated and pulled back by other means than `pull`."""
        self.field.nfe += num_stages
        self.num_evaluations += num_stages
        self.num_calls += num_stages

    def accumulate(self, gradients: Sequence[Tensor | None]) -> None:
        """Add gradients, one for each parameter, to the totals."""
        if self._adds_all and NoneType not in map(type, gradients):
            torch._foreach_add_(self.param_gradients, gradients)  # type: ignore[arg-type]
            return
        totals, contributions = [], []
        for place, (total, gradient) in enumerate(
            zip(self.param_gradients, gradients, strict=True)
        ):
            if gradient is None:
                continue
            if total is None:
                self.param_gradients[place] = gradient.clone()  # it may be f's own cotangent
            elif self._are_batches:  # not in place, into a total that is no batch
                self.param_gradients[place] = total + gradient
            else:
                totals.append(total)
                contributions.append(gradient)
        if totals:
            torch._foreach_add_(totals, contributions)


def _only_slope(evaluation: Evaluation) -> Tensor:
    (slope,) = evaluation.slopes
    if isinstance(slope, Root):
        raise TypeError("the slope itself is needed, and was given up")
    return slope


def _joined(parts: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor | None:
    """Return one vector of the gradients of leaves; None where all are zero."""
    if len(parts) == 1:
        (part,) = parts
        return part if part is None else part.reshape(-1)
    if all(part is None for part in parts):
        return None
    whole = [
        torch.zeros_like(leaf) if part is None else part
        for part, leaf in zip(parts, like, strict=True)
    ]
    return torch.cat([part.reshape(-1) for part in whole])
