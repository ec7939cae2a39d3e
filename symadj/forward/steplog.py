"""The accepted steps of a solve, in order: as C++ notes them until somebody asks for them."""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from symadj.forward.carried import Carried
from symadj.forward.trajectory import Step, Stretch

SPAN = 5
"""Numbers of a step's span: start, size, end, and its sides as signed directions."""


@dataclass(slots=True)
class Notes:
    """Steps in numbers, as loops of C++ write and read them.

    Attributes
    ----------
    spans : array of double
        Of each step its five numbers (see `symadj.forward.compiled.CompiledSteps.span_of`).
    outputs : array of int
        Of each step the first output beyond its start; then the first beyond the last of them.
    shares_first_slope : array of int
        Of each step whether its first slope is the end slope of the step before.
    thetas : array of double
        Of each output time where it lies in its step; 0 for the initial time.
    """

    spans: "array[float]"
    outputs: "array[int]"
    shares_first_slope: "array[int]"
    thetas: "array[float]"

    @staticmethod
    def of(steps: Sequence[Step]) -> "Notes":
        """Return steps in numbers: of a log that holds no others, its own."""
        if isinstance(steps, StepLog) and steps.notes is not None:
            return steps.notes
        notes = Notes(array("d"), array("q"), array("q"), array("d", [0.0]))
        for stretch, shares_first, first, thetas, _, _ in steps:
            notes.spans.extend(stretch.span)
            notes.outputs.append(first)
            notes.shares_first_slope.append(shares_first)
            notes.thetas.extend(thetas)
        notes.outputs.append(len(notes.thetas))
        return notes

    def __len__(self) -> int:
        """Return how many steps there are."""
        return len(self.shares_first_slope)

    @property
    def has_interior_outputs(self) -> bool:
        """Whether an output lies inside a step."""
        return any(theta != 1.0 for theta in self.thetas[self.outputs[0] : self.outputs[-1]])

    @property
    def end(self) -> float:
        """The time at which the last of them ends."""
        return self.spans[-3]

    def step(self, index: int) -> Step:
        """Return one of the steps."""
        t0, h, t1, first, end = self.spans[SPAN * index : SPAN * (index + 1)]
        direction = math.copysign(1.0, h)
        stretch = Stretch(t0, t1, h, int(first * direction), int(end * direction))
        start, stop = self.outputs[index : index + 2]
        shares = bool(self.shares_first_slope[index])
        return Step(stretch, shares, start, tuple(self.thetas[start:stop]))

    def extend(self, other: "Notes") -> None:
        """Add the steps of the same solve that follow: thetas are in one place for all."""
        self.spans.extend(other.spans)
        self.outputs.pop()
        self.outputs.extend(other.outputs)
        self.shares_first_slope.extend(other.shares_first_slope)


class StepLog(Sequence[Step]):
    """The accepted steps of a solve.

    Attributes
    ----------
    notes : Notes or None
        All of them in numbers, as long as no other has come.
    """

    __slots__ = ("_steps", "notes")

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self._steps: list[Step] | None = list(steps) or None
        self.notes: Notes | None = None

    def append(self, step: Step) -> None:
        """Enter a step."""
        made = self._made()
        made.append(step)
        self._steps, self.notes = made, None

    def note(self, notes: Notes) -> None:
        """Enter steps in numbers."""
        if self._steps and self.notes is None:
            self._steps.extend(map(notes.step, range(len(notes))))
            return
        if self.notes is None:
            self.notes = notes
        else:
            self.notes.extend(notes)
        self._steps = None  # to be made again

    @property
    def carried(self) -> Iterator[Carried]:
        """What ``f`` carried before each evaluation; nothing where C++ has taken the steps."""
        steps = () if self.notes is not None else self
        return (carried for step in steps for carried in step.carried)

    def _made(self) -> list[Step]:
        if self._steps is None:
            notes = self.notes
            self._steps = [] if notes is None else list(map(notes.step, range(len(notes))))
        return self._steps

    def __len__(self) -> int:
        return len(self._steps or ()) if self.notes is None else len(self.notes)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if self._steps is None and self.notes is not None and isinstance(index, int):
            return self.notes.step(range(len(self.notes))[index])
        return self._made()[index]

    def __iter__(self) -> Iterator[Step]:
        return iter(self._made())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StepLog | list | tuple):
            return NotImplemented
        return self._made() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._made())


def carries(steps: Sequence[Step]) -> bool:
    """Whether ``f`` carries anything from one evaluation to the next."""
    if isinstance(steps, StepLog) and steps.notes is not None:
        return False
    return bool(steps) and bool(steps[0].carried)
