"""What every store of states promises, and the slots that all of them have in common."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from symadj.adjoint.storage.format import StateFormat
from symadj.errors import SnapshotError


class HeldBytes(NamedTuple):
    """Memory that a store occupies now, in bytes; slots that wait for the next state count too."""

    device: int = 0
    host: int = 0
    disk: int = 0


class SnapshotStore(ABC):
    """States of one solve, by the index of a step.

    Each state lies in a slot. That of a dropped state is the next to be used, so there are never
    more slots than states were held at once.

    Put, get and drop may be called from any thread, as autograd's backward pass is, by one at a
    time; several may get. A store that is no longer referred to closes itself.

    Attributes
    ----------
    format : StateFormat
    """

    def __init__(self, state_format: StateFormat, release: Callable[[], None]) -> None:
        """Begin with nothing.

        Parameters
        ----------
        state_format : StateFormat
        release : callable
            Gives everything back. It is called once, perhaps when the store is gone already: so it
            must not refer to it.
        """
        self.format = state_format
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._num_slots = 0
        self._closing = weakref.finalize(self, release)

    def put(self, index: int, state: Tensor, *, private: bool = False) -> None:
        """Keep a state; it takes the place of one that was kept under this index.

        Parameters
        ----------
        index : int
        state : Tensor, shape (n,)
            A copy is kept, so the caller may overwrite it.
        private : bool, optional
            The caller's word that nobody will write to it, and that it is no view of something
            larger: where states stay on their device as they are, no copy is made.

        Raises
        ------
        SnapshotError
            If it could not be kept, or the store is closed.
        InvalidInputError
            If it is not like the others.
        """
        if not self._closing.alive:
            raise SnapshotError(f"State {index} was put into a store that is closed. {_ONCE}")
        self.format.check(state)
        if index in self._slots:
            self.drop(index)
        slot = self._take_slot()
        try:
            self._write(slot, state.detach(), private)
        except BaseException:
            self._free.append(slot)
            raise
        self._slots[index] = slot

    def get(self, index: int) -> Tensor:
        """Return a state, on the device and in the dtype of the solve.

        Parameters
        ----------
        index : int

        Returns
        -------
        Tensor, shape (n,)
            Not to be written to: it may be what is kept. It stays what it is when the index is
            dropped, or put again.

        Raises
        ------
        SnapshotError
            If there is no such state, or it could not be read.
        """
        return self._read(self._slot_of(index))

    def drop(self, index: int) -> None:
        """Forget a state: its slot is free.

        Raises
        ------
        SnapshotError
            If there is no such state.
        """
        slot = self._slot_of(index)
        del self._slots[index]
        self._erase(slot)
        self._free.append(slot)

    def prefetch(self, index: int) -> None:  # noqa: B027 - nothing is to be done in most stores
        """Hint that this state is wanted soon; one that is not there is none of its concern."""

    def close(self) -> None:
        """Forget all states and give all memory back. Once closed, nothing happens."""
        self._slots.clear()
        self._free.clear()
        self._num_slots = 0
        self._closing()

    @property
    def indices(self) -> tuple[int, ...]:
        """Of the states that are kept, increasing."""
        return tuple(sorted(self._slots))

    @property
    @abstractmethod
    def nbytes(self) -> HeldBytes:
        """Memory that is occupied now."""

    def __len__(self) -> int:
        """Return how many states are kept."""
        return len(self._slots)

    @abstractmethod
    def _write(self, slot: int, state: Tensor, private: bool) -> None:
        """Fill a slot; a new one has the least number that there is not yet."""

    @abstractmethod
    def _read(self, slot: int) -> Tensor:
        """Return what is in a slot, in a tensor that nothing here writes to again."""

    @abstractmethod
    def _erase(self, slot: int) -> None:
        """Get a slot ready for another state."""

    def _take_slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._num_slots += 1
        return self._num_slots - 1

    def _slot_of(self, index: int) -> int:
        slot = self._slots.get(index)
        if slot is not None:
            return slot
        if not self._closing.alive:
            raise SnapshotError(f"State {index} was asked of a store that is closed. {_ONCE}")
        held = "none"
        if self._slots:
            held = f"{len(self)}, with indices from {min(self._slots)} to {max(self._slots)}"
        raise SnapshotError(
            f"State {index} is not in the store. It holds {held}. A state is to be put before it "
            f"is asked for, and is gone once it is dropped."
        )


_ONCE = (
    "It closes at the end of the backward pass, which can run once: make the solve again for "
    "another one."
)
