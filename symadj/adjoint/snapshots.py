"""Where the states kept for the backward pass lie: here, in a list on the state's own device."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from symadj.forward.trajectory import Step


class KeptStates(Protocol):
    """What the sweep asks for: the states of each step, from the last to the first."""

    def of_step(self, index: int) -> Sequence[Tensor]:
        """Return the state at the start of a step, and the stage states if they were kept."""


@dataclass(slots=True)
class Snapshots:
    """States of a trajectory, the same number for every step.

    Attributes
    ----------
    per_step : int
        States kept of each step: 1, that at its start, or the stage states too.
    tensors : sequence of Tensor, shape (n,)
        Those of the first step, then those of the second, and so on.
    """

    per_step: int
    tensors: list[Tensor] = field(default_factory=list)

    def keep(self, step: Step, stage_states: Sequence[Tensor]) -> None:
        """Keep the stage states of a step (its first only, where that is all that is given)."""
        self.tensors.extend(stage_states)

    def of_step(self, index: int) -> Sequence[Tensor]:
        """Return what was kept of a step, and let go of what was kept of those after it."""
        del self.tensors[(index + 1) * self.per_step :]
        return self.tensors[index * self.per_step : (index + 1) * self.per_step]
