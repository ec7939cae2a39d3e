"""Where the states kept for the backward pass lie: here, in a list on the state's own device."""

from array import array
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
        Those of the first step, then those of the second, and so on; or tables of them, of many
        steps each and the state at their end, shape (k, n).
    are_tables : bool
        Whether it is these.
    """

    per_step: int
    tensors: list[Tensor] = field(default_factory=list)
    are_tables: bool = False

    @property
    def num_states(self) -> int:
        """How many states are kept, without those at the ends of tables."""
        if not self.are_tables:
            return len(self.tensors)
        return sum(len(table) - 1 for table in self.tensors)

    def keep(self, step: Step, stage_states: Sequence[Tensor]) -> None:
        """Keep the stage states of a step (its first only, where that is all that is given)."""
        self._spread()
        self.tensors.extend(stage_states)

    def keep_table(self, states: Tensor) -> None:
        """Keep the states of many steps, and at the end that with which they end."""
        if self.tensors and not self.are_tables:
            self.tensors.extend(states[:-1].unbind())
            return
        self.tensors.append(states)
        self.are_tables = True

    def take_last(self, most: int) -> "tuple[Sequence[Tensor], array[int]]":
        """Return what was kept of the last steps, and the address of each state, and let go of it.

        Of so many steps at the most, or of those in a table.
        """
        if self.are_tables:
            table = self.tensors.pop()
            first, size = table.data_ptr(), table.stride(0) * table.element_size()
            return (table,), array("q", range(first, first + (len(table) - 1) * size, size))
        first = max(len(self.tensors) - most * self.per_step, 0)
        states = self.tensors[first:]
        del self.tensors[first:]
        return states, array("q", [state.data_ptr() for state in states])

    def _spread(self) -> None:
        """Have each state for itself."""
        if self.are_tables:
            self.tensors[:] = [state for table in self.tensors for state in table[:-1].unbind()]
            self.are_tables = False

    def of_step(self, index: int) -> Sequence[Tensor]:
        """Return what was kept of a step, and let go of what was kept of those after it."""
        self._spread()
        del self.tensors[(index + 1) * self.per_step :]
        return self.tensors[index * self.per_step : (index + 1) * self.per_step]
