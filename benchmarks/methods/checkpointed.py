"""Checkpoints, and autograd through what lies between two of them: one per solve, one per step.

Both are built on the internals of torchdiffeq 0.2.5, the version that the benchmarks pin, so that
they return what torchdiffeq returns and waste no evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Method, Solve
from .packages import TORCHDIFFEQ, load

try:
    from torchdiffeq._impl.interp import _interp_evaluate
    from torchdiffeq._impl.misc import Perturb, _check_inputs, _flat_to_shape
    from torchdiffeq._impl.odeint import SOLVERS
    from torchdiffeq._impl.rk_common import _runge_kutta_step
except ImportError:
    pass  # its cases fail by name, the others run

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class _Step:
    """A checkpoint, and what starts at it.

    ``run(*carry)`` takes the step: it returns the next checkpoint's carry (unless this is the
    last), then the outputs inside the step. Where the step ends at a jump, a block of a stack ends.
    """

    carry: Tensors
    run: Callable[..., Tensors]
    outputs: tuple[int, ...] = ()
    ends_block: bool = False


MakeSolver = Callable[..., Any]
Searched = tuple[list[Tensor], list[_Step]]  # the outputs and the checkpoints


def _search_whole(make_solver: MakeSolver, y0: Tensor, t: Tensor) -> Searched:
    """One checkpoint per solve: nothing but y0 is kept, the whole solve is run again.

    Of stacked blocks each counts as a solve (the paper's "one checkpoint per component"): what is
    kept is the state between two of them, and a block's accepted steps are run again.
    """
    solver = make_solver(y0=y0)
    if getattr(solver, "jump_t", None) is not None:
        ys, steps = _search_adaptive(solver, t.to(solver.dtype))
        return ys, [_in_one(block) for block in _blocks(steps)]

    def run(y: Tensor) -> Tensors:
        return tuple(make_solver(y0=y).integrate(t)[1:])

    return [y0, *run(y0)], [_Step((y0,), run, tuple(range(1, len(t))))]


def _search_steps(make_solver: MakeSolver, y0: Tensor, t: Tensor) -> Searched:
    """A checkpoint per accepted step: the adaptive checkpoint adjoint (ACA).

    Zhuang et al., ICML 2020, arXiv:2006.02493. The search for the steps, by torchdiffeq's own
    solver, is the forward pass; the accepted steps' states and first slopes are kept. So no
    evaluation is wasted: forward as many as torchdiffeq, backward those of the accepted steps.
    """
    solver = make_solver(y0=y0)
    if hasattr(solver, "tableau"):
        return _search_adaptive(solver, t.to(solver.dtype))
    return _search_fixed_grid(solver, t)


def _search_adaptive(solver: Any, t: Tensor) -> Searched:
    """Solve with torchdiffeq's own error control; a step carries its state and first slope."""

    def start(y: Tensor) -> Tensors:
        return y, solver.func(t[0], y)

    def step_run(
        t0: Tensor, dt: Tensor, t1: Tensor, outputs: tuple[int, ...], *, is_jump: bool
    ) -> Callable[..., Tensors]:
        def run(y: Tensor, slope: Tensor) -> Tensors:
            y1, slope1, _, k = _runge_kutta_step(
                solver.func, y, slope, t0, dt, t1, tableau=solver.tableau
            )
            if is_jump:  # the next step starts with the slope behind it
                slope1 = solver.func(t1, y1, perturb=Perturb.NEXT)
            if not outputs:
                return y1, slope1
            polynomial = solver._interp_fit(y, y1, k, dt)
            return y1, slope1, *(_interp_evaluate(polynomial, t0, t1, t[j]) for j in outputs)

        return run

    solver._before_integrate(t)
    ys, steps = [solver.y0], [_Step((solver.y0,), start)]
    after = solver.rk_state
    while len(ys) < len(t):
        before, after = after, solver._adaptive_step(after)
        if after.t1 == before.t1:
            continue  # rejected
        first = len(ys)
        while len(ys) < len(t) and t[len(ys)] <= after.t1:
            ys.append(_interp_evaluate(after.interp_coeff, after.t0, after.t1, t[len(ys)]))
        outputs = tuple(range(first, len(ys)))
        is_cut = bool(after.t1 != before.t1 + before.dt)  # at a prescribed time
        dt = after.t1 - before.t1 if is_cut else before.dt
        is_jump = is_cut and bool((solver.jump_t == after.t1).any())
        # not `before` itself, whose interpolant would stay alive with the step
        run = step_run(before.t1, dt, after.t1, outputs, is_jump=is_jump)
        steps.append(_Step((before.y1, before.f1), run, outputs, ends_block=is_jump))
    solver.rk_state = None  # likewise
    return ys, steps


def _blocks(steps: list[_Step]) -> Iterator[list[_Step]]:
    """Split steps where blocks end."""
    block: list[_Step] = []
    for step in steps:
        block.append(step)
        if step.ends_block:
            yield block
            block = []
    if block:
        yield block


def _in_one(steps: list[_Step]) -> _Step:
    """Return several steps as one, of which only the first carry is kept."""
    runs = [(step.run, len(step.outputs)) for step in steps]

    def run(*carry: Tensor) -> Tensors:
        outputs: list[Tensor] = []
        for take, num_outputs in runs:
            results = take(*carry)
            num_carried = len(results) - num_outputs
            carry = results[:num_carried]
            outputs += results[num_carried:]
        return *carry, *outputs

    return _Step(steps[0].carry, run, tuple(j for step in steps for j in step.outputs))


def _search_fixed_grid(solver: Any, t: Tensor) -> Searched:
    """Solve on the fixed grid; a step carries its state."""

    def step_run(t0: Tensor, t1: Tensor, outputs: tuple[int, ...]) -> Callable[..., Tensors]:
        def run(y: Tensor) -> Tensors:
            increment, _ = solver._step_func(solver.func, t0, t1 - t0, t1, y)
            y1 = y + increment
            return y1, *(solver._linear_interp(t0, t1, y, y1, t[j]) for j in outputs)

        return run

    y, ys, steps = solver.y0, [solver.y0], []
    grid = solver.grid_constructor(solver.func, y, t)
    for t0, t1 in pairwise(grid):
        solver.func.callback_step(t0, y, t1 - t0)
        outputs = tuple(j for j in range(len(ys), len(t)) if t[j] <= t1)
        run = step_run(t0, t1, outputs)
        steps.append(_Step((y,), run, outputs))
        y, *inside = run(y)
        ys += inside
    return ys, steps


class _Checkpointed(torch.autograd.Function):
    """Keep the checkpoints that a search without a graph left; run and differentiate each later.

    ``torch.utils.checkpoint`` is no fair stand-in: it keeps every operation's graph node, and a
    field that calls autograd itself makes it run everything before that call again, forward.
    """

    @staticmethod
    def forward(ctx: Any, search: Callable[[], Searched], _y0: Tensor, *params: Tensor) -> Tensor:
        ys, ctx.steps = search()
        ctx.params = params
        return torch.stack(ys)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        param_grads = [torch.zeros_like(param) for param in ctx.params]
        adjoints = [torch.zeros_like(cotangent[0])] * 2  # of the carry, at the most two tensors
        while ctx.steps:
            adjoints = _differentiate(ctx.steps.pop(), adjoints, cotangent, ctx.params, param_grads)
        return None, adjoints[0] + cotangent[0], *param_grads


def _differentiate(
    step: _Step,
    adjoints: list[Tensor],
    cotangent: Tensor,
    params: Tensors,
    param_grads: list[Tensor],
) -> list[Tensor]:
    """Run a step with a graph; return its carry's adjoints, and add to the parameters' gradients.

    A function of its own, so that its graph and its gradients die before the next step's are made.
    """
    carry = [part.detach().requires_grad_() for part in step.carry]
    with torch.enable_grad():
        results = step.run(*carry)
    num_carried = len(results) - len(step.outputs)
    grads = torch.autograd.grad(
        results,
        [*carry, *params],
        [*adjoints[:num_carried], *(cotangent[j] for j in step.outputs)],
        allow_unused=True,
        materialize_grads=True,
    )
    for total, grad in zip(param_grads, grads[len(carry) :], strict=True):
        total.add_(grad)
    return list(grads[: len(carry)])


def _checkpointed(search: Callable[[MakeSolver, Tensor, Tensor], Searched]) -> Solve:
    def solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        load(TORCHDIFFEQ)
        shapes, func, flat_y0, t, rtol, atol, name, options, *_ = _check_inputs(
            field, y0, t, how.rtol, how.atol, how.tableau, dict(how.options), None, SOLVERS
        )
        make_solver = partial(SOLVERS[name], func=func, rtol=rtol, atol=atol, **options)
        params = [param for param in field.parameters() if param.requires_grad]
        run_search = partial(search, make_solver, flat_y0.detach(), t)
        ys: Tensor = _Checkpointed.apply(run_search, flat_y0, *params)  # type: ignore[no-untyped-call]
        return ys if shapes is None else _flat_to_shape(ys, (len(t),), shapes)

    return solve


METHODS = (
    Method("checkpoint-solve", _checkpointed(_search_whole)),
    Method("checkpoint-step", _checkpointed(_search_steps)),
)
