"""The gradient with respect to time: of the outputs, and of what the steps hang on.

The steps hang on *knots*: on a fixed grid, on every grid point (``t_n`` and ``h_n = t_{n+1} - t_n``
move with them); under error control, on the initial time alone, as accepted sizes are held fixed.
Prescribed times, jumps among them, do not move: nor do the steps beyond, and the step that ends
there is the shorter the later the solve begins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.adjoint.pullback import Pulled
from symadj.forward.trajectory import Anchor, StepGrid


class TimeGradient:
    """Gradient with respect to the knots, stage by stage.

    A stage has the time ``t_n + c_i h``, and ``h`` stands before every slope. Hence, with
    ``τ_i = (∂f/∂t)_iᵀ μ_i``, ``t̄_n = Σ τ_i`` and ``h̄ = Σ (c_i τ_i + μ_iᵀ k_i / h)``: the
    second term collects what ``λᵀ Σ b_i k_i`` and every ``ℓ_iᵀ Σ a_ij k_j`` contribute, as
    ``μ_i/h`` is the factor of ``k_i`` in all of them.

    Parameters
    ----------
    knots : Tensor, shape (K,)
        The times on which the steps hang.
    cotangents : Tensor
        Those of the outputs.
    anchors : sequence of Anchor
        Which of them each step hangs on.
    """

    def __init__(self, knots: Tensor, cotangents: Tensor, anchors: Sequence[Anchor]) -> None:
        # Made from the cotangents, so that they are a batch if those are one.
        self.knots = cotangents.new_zeros(len(knots), dtype=knots.dtype)
        self._anchors = anchors

    def add_stage(
        self, index: int, node: float, h: float, pulled: Pulled, cotangent: Tensor
    ) -> None:
        """Add what stage ``node`` (its ``c_i``) of step ``index`` contributes."""
        start, end = self._anchors[index]
        if start != end and pulled.slope is not None:  # the size of the step moves
            size = _real_dot(cotangent, pulled.slope).to(self.knots.dtype) / h
            self._add(start, -size)
            self._add(end, size)
        if pulled.time is not None:
            self._add(start, pulled.time * (1.0 - node))
            self._add(end, pulled.time * node)

    def add_stages(
        self, index: int, nodes: Sequence[float], h: float, by_time: Tensor, by_size: Tensor
    ) -> None:
        """Add what all stages of a step contribute, as `add_stage` does for one.

        Parameters
        ----------
        index : int
        nodes : sequence of float
            Their ``c_i``, in the order of the stages.
        h : float
        by_time, by_size : Tensor, shape (s,)
            ``τ_i``, and ``μ_iᵀ k_i``.
        """
        start, end = self._anchors[index]
        if start != end:
            size = by_size.sum().to(self.knots.dtype) / h
            self._add(start, -size)
            self._add(end, size)
        c = torch.tensor(nodes, dtype=by_time.dtype).to(by_time.device)
        self._add(start, torch.dot(by_time, 1.0 - c))
        self._add(end, torch.dot(by_time, c))

    def add_outputs(self, steps: StepGrid, per_output: Tensor) -> None:
        """Add how the knots move the place of each output inside its step.

        Parameters
        ----------
        steps : sequence of Step
        per_output : Tensor, shape (T,)
            Gradient with respect to each output time.
        """
        for (start, end), step in zip(self._anchors, steps, strict=True):
            for offset, theta in enumerate(step.thetas):
                moved = per_output[step.first_output + offset]
                self._add(start, moved * (theta - 1.0))
                self._add(end, moved * -theta)

    def _add(self, knot: int | None, share: Tensor) -> None:
        if knot is not None:
            self.knots[knot] += share


def output_time_gradient(cotangents: Tensor, output_slopes: Tensor) -> Tensor:
    """Return the gradient with respect to each output time, shape (T,).

    Parameters
    ----------
    cotangents, output_slopes : Tensor, shape (T, n)
        Cotangents of the outputs, and dy/dt there.
    """
    return (cotangents.conj() * output_slopes).real.sum(1)


def _real_dot(cotangent: Tensor, slope: Tensor) -> Tensor:
    """Real inner product of two vectors, complex ones as vectors of twice the length."""
    return torch.vdot(cotangent, slope.to(cotangent.dtype)).real
