"""The times at which the steps of a solve evaluate ``f``, from the last step to the first."""

from collections.abc import Sequence

from torch import Tensor

from symadj.forward.trajectory import StepGrid
from symadj.forward.weights import Clock

NUM_AT_ONCE = 32
"""Steps whose times are made together: torch is done with them as soon as with those of one."""


class Timetable:
    """Times of steps that are asked for in reverse order.

    Parameters
    ----------
    clock : Clock
    steps : sequence of Step
    """

    def __init__(self, clock: Clock, steps: StepGrid) -> None:
        self._clock, self._steps = clock, steps
        self._first = len(steps)
        self._rows: Sequence[Tensor] = ()

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Return the time of each slope of a step, the end slope's last, each of shape ()."""
        if index < self._first:
            self._first = max(index + 1 - NUM_AT_ONCE, 0)
            steps = self._steps[self._first : index + 1]
            self._rows = self._clock.rows([step.stretch for step in steps])
        return self._rows[index - self._first].unbind()
