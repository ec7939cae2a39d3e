"""Making the stages of an explicit step again, from the state at its start."""

from collections.abc import Sequence

import torch
from torch import Tensor

from symadj.adjoint.evaluation import Evaluation
from symadj.adjoint.pullback import Pullback
from symadj.adjoint.step import Stages
from symadj.forward.slopes import SlopeColumns, SlopeRows, make_stage_slopes
from symadj.forward.weights import Weights

SMALL_STATE_BYTES = 1024
"""States up to this size are kept where they could be made again: that takes longer."""


class Replay:
    """Makes the stages of one step after the other again.

    Stage states are made of the slopes twice: to evaluate ``f`` at them, then when the stage is
    transposed. By then ``ℓ`` of the stages after it stands where their slopes were, which no
    earlier stage needs. Small states are kept, and what has its graph alive is not needed again.

    Parameters
    ----------
    pullback : Pullback
    weights : Weights
        Those of the step's size.
    like : Tensor, shape (n,)
        A state.
    graphs : int
        How many of the last stages are evaluated with their graph at once, if more than one.

    Attributes
    ----------
    needs_slopes : bool
        Whether the slopes are needed until their stage is transposed.
    has_all_graphs : bool
        Whether all graphs of a step are alive at once.
    """

    def __init__(self, pullback: Pullback, weights: Weights, like: Tensor, graphs: int) -> None:
        self._pullback = pullback
        self._weights = weights
        self._like = like
        self._first_graph = weights.num_stages - graphs if graphs > 1 else weights.num_stages
        self._keeps_states = like.nbytes <= SMALL_STATE_BYTES
        self.has_all_graphs = self._first_graph <= 0
        self.needs_slopes = not (self.has_all_graphs or self._keeps_states)
        self._slopes: SlopeColumns | SlopeRows | None = None

    @property
    def slopes(self) -> SlopeColumns | SlopeRows:
        """Where the slopes of a step are, made when it is needed."""
        if self._slopes is None:
            self._slopes = make_stage_slopes(
                self._like,
                self._weights,
                self._weights.num_stages,
                are_held=self.has_all_graphs,
            )
        return self._slopes

    def __call__(
        self, y: Tensor, times: Sequence[Tensor], y_next: Tensor | None, *, want_end: bool
    ) -> tuple[Stages, Tensor | None]:
        """Make the stages of the step from ``y``, and its end if it is wanted and not there.

        Parameters
        ----------
        y : Tensor, shape (n,)
        times : sequence of Tensor, shape ()
        y_next : Tensor, shape (n,), or None
        want_end : bool

        Returns
        -------
        Stages
        Tensor, shape (n,), or None
        """
        num_stages, field, slopes = self._weights.num_stages, self._pullback.field, self.slopes
        needs_end = want_end and y_next is None
        evaluations: dict[int, Evaluation] = {}
        states: list[Tensor] = []
        for i in range(num_stages):
            stage_state = slopes.advance(y, i) if i else y
            is_needed = i + 1 < num_stages or needs_end
            if self.has_all_graphs and not is_needed:
                slopes.release()
            if i >= self._first_graph:
                with torch.enable_grad():
                    evaluation = self._pullback.evaluate(times[i], stage_state)
                if is_needed:
                    slopes.hold(i, self._pullback.slope_of(evaluation))
                evaluations[i] = self._pullback.without_slopes(evaluation)
                del evaluation
                continue
            if self._keeps_states:
                states.append(stage_state)
            if is_needed:
                slopes.put(i, field(times[i], stage_state))
        if needs_end:
            y_next = slopes.advance(y, self._weights.b)
            if self.has_all_graphs:
                slopes.release()
        return Stages(_StatesAgain(y, slopes) if self.needs_slopes else states, evaluations), y_next


class _StatesAgain:
    """Stage states of a step whose slopes before each are there."""

    def __init__(self, y: Tensor, slopes: SlopeColumns | SlopeRows) -> None:
        self._y = y
        self._slopes = slopes

    def __getitem__(self, i: int) -> Tensor:
        return self._slopes.advance(self._y, i) if i else self._y
