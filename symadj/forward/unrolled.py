"""The steps of a solve taken once more, as ordinary operations that autograd looks into.

This costs the memory of backpropagation. It is there for what the adjoint sweep does not give:
second derivatives, forward-mode differentiation, and the transforms of ``torch.func``; and, in the
tests, as what the sweep has to agree with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symadj.errors import UnsupportedError
from symadj.forward.carried import Replayer
from symadj.forward.slopes import SlopeList
from symadj.forward.solve import Integration
from symadj.forward.step import rk_step
from symadj.forward.trajectory import Anchor, Step, StepGrid, anchors
from symadj.forward.transforms import is_transformed, plain
from symadj.forward.weights import Weights

IMPLICIT_IS_REVERSE_ONLY = (
    "is implicit: it has first derivatives in reverse mode only. For higher derivatives, forward "
    "mode and torch.func take an explicit method, such as 'dopri5'."
)


def unroll(
    ivp: Integration,
    steps: StepGrid,
    y0: Tensor,
    times: Tensor,
    knots: Tensor,
    *,
    pinned: bool,
    replayer: Replayer | None = None,
) -> Tensor:
    """Take the accepted steps of a solve again, their sizes held fixed.

    Parameters
    ----------
    ivp : Integration
    steps : sequence of Step
    y0 : Tensor, shape (n,)
    times : Tensor, shape (T,)
        Initial time and output times.
    knots : Tensor, shape (K,)
        What the steps hang on: every grid point, or the initial time.
    pinned : bool
        Whether the outputs are the states at the knots.
    replayer : Replayer, optional
        Brings back what ``f`` carried.

    Returns
    -------
    Tensor, shape (T, n)
        The outputs, differentiable in every way that torch knows of.

    Raises
    ------
    UnsupportedError
        If the method is implicit.
    """
    if not ivp.tableau.is_explicit:
        raise UnsupportedError(f"The method {ivp.tableau.name!r} {IMPLICIT_IS_REVERSE_ONLY}")
    field, tableau = ivp.field, ivp.tableau
    clock = ivp.clock(y0)
    moving = _MovingTimes(knots, anchors(steps, has_grid=ivp.step_sizes.has_grid))
    slopes = SlopeList(Weights(tableau, y0))
    # Where the output times move, so does an output at the very end of its step.
    moves = not pinned and (times.requires_grad or is_transformed())
    outputs, y = [y0], y0
    for index, step in enumerate(steps):
        if replayer is not None:
            replayer.expect(step.carried[1:] if step.shares_first_slope else step.carried)
        h = moving.size(index, step)
        slope_times = [
            moving.stage(index, float(node), time)
            for node, time in zip(tableau.nodes, clock(step.stretch), strict=True)
        ]
        slopes.weights.scale(h)
        if step.shares_first_slope:
            slopes.put(0, slopes.k[-1])
        else:
            slopes.put(0, field(slope_times[0], y))
        y1 = rk_step(field, slopes, y, slope_times)
        if _has_end_slope(ivp, steps, index, moves=moves):
            slopes.put(-1, field(slope_times[-1], y1))
        for j, theta in enumerate(step.thetas, start=step.first_output):
            if theta == 1.0 and not moves:
                outputs.append(y1)
            else:
                place = moving.place(index, step, theta, times[j])
                outputs.append(_output(ivp, slopes, y, place, h))
        y = y1
    return torch.stack(outputs)


def _has_end_slope(ivp: Integration, steps: StepGrid, index: int, *, moves: bool) -> bool:
    """Whether the end slope of a step was made when the step was taken first."""
    if ivp.step_sizes.is_adaptive:
        return True
    thetas = steps[index].thetas
    return ivp.interpolant.uses_end_slope and bool(thetas) and (moves or thetas[0] < 1.0)


def _output(ivp: Integration, slopes: SlopeList, y: Tensor, theta: Tensor, h: Tensor) -> Tensor:
    """Return ``y_n + h Σ w_i(θ) k_i``."""
    count = len(slopes.k) if ivp.interpolant.uses_end_slope else len(slopes.k) - 1
    weights = (ivp.interpolant.weights_at(theta)[:count] * h).to(y.dtype)
    return y + torch.sum(torch.stack(slopes.k[:count], dim=-1) * weights, dim=-1)


@dataclass(frozen=True, slots=True)
class _MovingTimes:
    """Times of the steps as functions of the knots, which may carry a gradient.

    The numbers in the steps do not: each is a constant, and moves with the knots of its step.
    """

    knots: Tensor
    anchors: Sequence[Anchor]

    def size(self, index: int, step: Step) -> Tensor:
        """Return the size of a step, shape ()."""
        start, end = self.anchors[index]
        return self._moved(end) - self._moved(start) + step.stretch.h

    def stage(self, index: int, node: float, time: Tensor) -> Tensor:
        """Return the time of a stage, which has the value of ``time``, shape ()."""
        start, end = self.anchors[index]
        return time + ((1 - node) * self._moved(start) + node * self._moved(end)).to(time.dtype)

    def place(self, index: int, step: Step, theta: float, time: Tensor) -> Tensor:
        """Return where in the step an output lies, with the value ``theta``, shape ()."""
        start, _ = self.anchors[index]
        moved = time - plain(time) - self._moved(start)
        return (theta * step.stretch.h + moved) / self.size(index, step)

    def _moved(self, knot: int | None) -> Tensor:
        """Return zero, with the gradient of a knot."""
        if knot is None:
            return torch.zeros_like(plain(self.knots[0]))
        return self.knots[knot] - plain(self.knots[knot])
