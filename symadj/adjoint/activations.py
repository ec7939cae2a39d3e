"""The graphs of a solve's evaluations, kept from the forward pass, so that none is made again.

This is backpropagation's end of the dial: what autograd saves of ``f`` takes its memory, and the
backward pass makes nothing but vector-Jacobian products.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from symadj.adjoint.evaluation import Evaluation, evaluate
from symadj.captured import next_node
from symadj.forward.field import Field
from symadj.forward.trajectory import Step


class GraphLog:
    """Makes each evaluation of a field with its graph, which is kept until it is taken.

    It is the `Field`'s maker, and the log of what its evaluations leave.

    Parameters
    ----------
    want_time : bool
        Whether gradients with respect to the times of the steps may be wanted: slopes are kept too.

    Attributes
    ----------
    is_needed : bool
        Whether graphs are kept still; otherwise the field goes on without them.
    """

    def __init__(self, *, want_time: bool) -> None:
        self.is_needed = True
        self._want_time = want_time
        self._log: list[Evaluation] = []

    def __call__(self, field: Field, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate ``f``, and return the slope, shape (n,), cut from its graph."""
        if not self.is_needed:
            field.maker = None
            return field(t, y)
        inspector, field.inspector = field.inspector, None
        with torch.enable_grad():
            oldest = 0 if inspector is None else next_node()
            evaluation = evaluate(field, t, y, want_time=self._want_time)
        if inspector is not None:
            slopes = [slope for slope in evaluation.slopes if isinstance(slope, Tensor)]
            inspector.look(slopes, oldest, (evaluation.t, *evaluation.leaves))
        slope = evaluation.slope(field.packing)
        self._log.append(evaluation if self._want_time else evaluation.without_slopes())
        return slope

    def take(self) -> list[Evaluation]:
        """Return the evaluations since the last call."""
        taken, self._log = self._log, []
        return taken


class StepGraphs(NamedTuple):
    """The evaluations of one step.

    Attributes
    ----------
    stages : dict of int to Evaluation
    end : Evaluation or None
        That at the step's end, where an output inside the step hangs on its slope and it is not the
        first stage of the step after.
    """

    stages: dict[int, Evaluation]
    end: Evaluation | None = None


NO_GRAPHS = StepGraphs({})
"""The evaluations of a step of which none is kept."""


class Activations:
    """The evaluations of all steps of a solve.

    Parameters
    ----------
    num_stages : int
        Evaluations of each step, without that at its end.
    log : GraphLog
        Where they come from.
    is_shared : bool
        Whether more than one backward pass may go through them (that of each call of a dense
        output): a graph is then not freed by the pass, but by the last who holds it.
    """

    def __init__(self, num_stages: int, log: GraphLog, *, is_shared: bool) -> None:
        self._num_stages, self.log, self.is_shared = num_stages, log, is_shared
        self._steps: list[StepGraphs] = []

    def keep(self, step: Step, evaluations: Sequence[Evaluation]) -> None:
        """Keep the evaluations of the next step."""
        if step.shares_first_slope and self._steps:  # once is enough
            self._steps[-1] = self._steps[-1]._replace(end=None)
        stages = dict(enumerate(evaluations[: self._num_stages]))
        has_end = len(evaluations) > self._num_stages
        hangs_on_end = bool(step.interior_thetas) or self.is_shared
        self._steps.append(
            StepGraphs(stages, evaluations[-1] if has_end and hangs_on_end else None)
        )

    def give_up(self) -> None:
        """Let go of all, and keep none of those to come."""
        self._steps.clear()
        self.log.is_needed = False
        self.log.take()

    def handed_over(self) -> "Activations":
        """Return the same evaluations, for one attached output: its backward pass empties it."""
        other = Activations(self._num_stages, self.log, is_shared=self.is_shared)
        other._steps = list(self._steps)
        return other

    def of_step(self, index: int, *, keeps: bool) -> StepGraphs:
        """Return the evaluations of a step, and let go of those after it, and of itself.

        Parameters
        ----------
        index : int
        keeps : bool
            Whether nothing is to be let go of.
        """
        stages, end = self._steps[index]
        if not keeps:
            del self._steps[index:]
        if keeps or self.is_shared:
            stages = dict(stages)  # which the sweep empties
        return StepGraphs(stages, end)
