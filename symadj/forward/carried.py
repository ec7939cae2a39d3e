"""What ``f`` carries from one evaluation to the next: random generators, and buffers if asked for.

An evaluation is made again during the backward pass. Where ``f`` draws random numbers (dropout), it
must draw the same ones; where it changes its buffers (spectral normalization), it must find them as
they were. So the state before each evaluation of an accepted step is kept with the step.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from symadj.forward.transforms import is_transformed, outside_transforms

Carried: TypeAlias = tuple[Tensor, ...]
"""States of the generators, then the buffers, before one evaluation."""

T = TypeVar("T")


class CarriedState:
    """Reads and restores what ``f`` carries.

    Parameters
    ----------
    device : torch.device
        The state's: its generator is one of those kept, beside that of the CPU.
    buffers : sequence of Tensor
        Buffers to keep.
    """

    def __init__(self, device: torch.device, buffers: Sequence[Tensor] = ()) -> None:
        self._device = device
        self.buffers = tuple(buffers)

    def generators(self) -> Carried:
        """Return the states of the generators: on a CPU one byte tensor of 5 kB."""
        if self._device.type == "cpu":
            return (torch.get_rng_state(),)
        module = torch.get_device_module(self._device.type)
        return (torch.get_rng_state(), module.get_rng_state(self._device))

    def same_generators(self, state: Carried) -> bool:
        """Return whether the generators are in this state."""
        if is_transformed():
            with outside_transforms():
                return self._same_generators(state)
        return self._same_generators(state)

    def _same_generators(self, state: Carried) -> bool:
        now = self.generators()
        return all(torch.equal(a, b) for a, b in zip(now, state[: len(now)], strict=True))

    def read(self) -> Carried:
        """Return the whole state."""
        return (*self.generators(), *(buffer.detach().clone() for buffer in self.buffers))

    def restore(self, state: Carried) -> None:
        """Bring a state back."""
        torch.set_rng_state(state[0])
        others = state[1:]
        if self._device.type != "cpu":
            module = torch.get_device_module(self._device.type)
            module.set_rng_state(others[0], self._device)
            others = others[1:]
        with torch.no_grad():
            for buffer, value in zip(self.buffers, others, strict=True):
                buffer.copy_(value)

    @contextmanager
    def left_as_found(self) -> Iterator[None]:
        """Leave the state at the end as it was at the beginning."""
        found = self.read()
        try:
            yield
        finally:
            self.restore(found)


class Log(Protocol[T]):
    """Notes something at each evaluation, and keeps it until it is taken."""

    is_needed: bool

    def take(self) -> list[T]:
        """Return what was noted since the last call."""


class Recorder:
    """Called before each evaluation: reads the state, and keeps it until it is taken.

    Unless it is to read ``always``, it stops when the first evaluation has drawn no number.

    Attributes
    ----------
    is_needed : bool
        Whether it still reads.
    start : Carried
        The state before the first evaluation.
    """

    def __init__(self, carried: CarriedState, *, always: bool) -> None:
        self._carried = carried
        self._always = always
        self._log: list[Carried] = []
        self._calls = 0
        self.is_needed = True
        self.start: Carried = carried.read()

    def __call__(self) -> bool:
        """Read the state; return whether the next one is to be read too."""
        self._calls += 1
        if self._calls == 2 and not self._always:
            self.is_needed = self._has_drawn()
        if self.is_needed:
            self._log.append(self._carried.read())
        return self.is_needed

    def settle(self) -> bool:
        """Decide, after the first evaluation, whether states are read: return whether they are."""
        self._calls = max(self._calls, 2)  # the evaluations that follow may not be announced
        if not self._always:
            self.is_needed = self._has_drawn()
        return self.is_needed

    def rewind(self) -> None:
        """Bring back the state before the first evaluation."""
        self._carried.restore(self.start)

    def take(self) -> list[Carried]:
        """Return what was read since the last call."""
        taken, self._log = self._log, []
        return taken

    def is_complete(self) -> bool:
        """Return whether nothing was missed, to be asked after the last evaluation."""
        if self._always:
            return True
        drawn = self._has_drawn()
        if self._calls < 2:
            self.is_needed = drawn
        return self.is_needed or not drawn

    def _has_drawn(self) -> bool:
        return not self._carried.same_generators(self.start)


class Replayer:
    """Called before each evaluation: brings back the next of the states it was given."""

    def __init__(self, carried: CarriedState) -> None:
        self._carried = carried
        self._queue: deque[Carried] = deque()

    def __call__(self) -> bool:
        """Bring the next state back."""
        self._carried.restore(self._queue.popleft())
        return True

    def expect(self, states: Sequence[Carried]) -> None:
        """Queue the states of the evaluations that come next."""
        self._queue.extend(states)
