"""States of a CUDA solve kept in pinned host memory, copied beside the computation."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from symadj.adjoint.storage.format import StateFormat
from symadj.adjoint.storage.store import HeldBytes, SnapshotStore
from symadj.errors import SnapshotError

NUM_STAGED = 2
"""Offloads under way at once: one is copied while the next is computed."""

SLAB_BYTES = 2**20
"""Small states are pinned together, up to here: pinning takes a system call each time."""

MAX_SLAB_STATES = 8
"""Large states are pinned together, up to this many, where that wastes less."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Device memory that the side stream reads or writes.

    It belongs to ``home``, the stream in which it was allocated: freed, it is given to what comes
    next in that stream. So ``home`` has to wait for ``done`` first. (``Tensor.record_stream`` would
    see to it too, but keeps the block from being used until the device has caught up with the host:
    the farther ahead the host runs, the more memory that takes.)
    """

    tensor: Tensor
    home: torch.cuda.Stream
    done: torch.cuda.Event

    def settle(self) -> None:
        """Make it safe to free."""
        self.home.wait_event(self.done)


class PinnedStore(SnapshotStore):
    """States kept in pinned host memory.

    All copies run in one side stream, one after the other: so a state is read after it was written,
    and a slot is written after it was read, without an event.

    - Offload: the state is copied (and rounded) on the device, in the caller's stream, which may
      overwrite it then. The caller's stream waits only if `NUM_STAGED` earlier offloads are still
      under way, as otherwise they would fill the memory that they are to save.
    - Fetch: the caller's stream waits for this one copy, which `prefetch` can begin long before.

    The host waits for nothing.

    Parameters
    ----------
    state_format : StateFormat
        On a CUDA device.
    """

    def __init__(self, state_format: StateFormat) -> None:
        self._side = torch.cuda.Stream(state_format.device)  # type: ignore[no-untyped-call]
        self._buffers: list[Tensor] = []
        self._staged: deque[InFlight] = deque()
        self._arriving: dict[int, InFlight] = {}
        release = partial(_release, self._buffers, self._staged, self._arriving)
        super().__init__(state_format, release)

    @property
    def nbytes(self) -> HeldBytes:
        """Memory that is occupied now; on the device, by what is under way."""
        nbytes = self.format.nbytes
        return HeldBytes(
            device=(len(self._staged) + len(self._arriving)) * nbytes,
            host=len(self._buffers) * nbytes,
        )

    def prefetch(self, index: int) -> None:
        """Begin to copy a state to the device, while the caller's stream goes on."""
        slot = self._slots.get(index)
        if slot is not None:
            self._fetch(slot)

    def _write(self, slot: int, state: Tensor, private: bool) -> None:
        if slot >= len(self._buffers):
            self._buffers.extend(pinned_slab(self.format))
        current = torch.cuda.current_stream(self.format.device)
        if len(self._staged) < NUM_STAGED:
            staging, home = self._empty(), current
        else:
            oldest = self._staged.popleft()
            current.wait_event(oldest.done)
            staging, home = oldest.tensor, oldest.home
        staging.copy_(state)
        done = self._copy(self._buffers[slot], staging, current)
        self._staged.append(InFlight(staging, home, done))

    def _read(self, slot: int) -> Tensor:
        self._fetch(slot)
        arrival = self._arriving.pop(slot)
        current = torch.cuda.current_stream(self.format.device)
        current.wait_event(arrival.done)
        # Of no effect, unless it was prefetched in another stream than it is used in.
        arrival.tensor.record_stream(current)
        return arrival.tensor.to(self.format.dtype)

    def _erase(self, slot: int) -> None:
        arrival = self._arriving.pop(slot, None)
        if arrival is not None:
            arrival.settle()

    def _fetch(self, slot: int) -> None:
        if slot in self._arriving:
            return
        current = torch.cuda.current_stream(self.format.device)
        tensor = self._empty()
        done = self._copy(tensor, self._buffers[slot], current)
        self._arriving[slot] = InFlight(tensor, current, done)

    def _empty(self) -> Tensor:
        shape, device = self.format.num_elements, self.format.device
        return torch.empty(shape, dtype=self.format.kept_dtype, device=device)

    def _copy(self, target: Tensor, source: Tensor, current: torch.cuda.Stream) -> torch.cuda.Event:
        # Offloading, current still makes the source; fetching, it may still use what had the
        # target's memory before.
        self._side.wait_stream(current)
        with torch.cuda.stream(self._side):
            target.copy_(source, non_blocking=True)
        done: torch.cuda.Event = self._side.record_event()
        return done


def states_per_slab(nbytes: int) -> int:
    """Return how many states to pin at once.

    torch rounds what it pins up to a power of two, by which a state alone can take twice its size.

    Parameters
    ----------
    nbytes : int
        Bytes of one state.

    Examples
    --------
    >>> [states_per_slab(nbytes) for nbytes in (4, 40_000_000, 2**26)]
    [262144, 3, 1]
    """
    if nbytes < SLAB_BYTES // MAX_SLAB_STATES:
        return SLAB_BYTES // max(nbytes, 1)
    return max(range(1, MAX_SLAB_STATES + 1), key=lambda count: _share_used(count * nbytes))


def pinned_slab(state_format: StateFormat) -> Sequence[Tensor]:
    """Return pinned memory for a number of states, shape (n,) each.

    Raises
    ------
    SnapshotError
        If the host gives no more.
    """
    count = states_per_slab(state_format.nbytes)
    shape = (count, state_format.num_elements)
    try:
        return torch.empty(shape, dtype=state_format.kept_dtype, pin_memory=True).unbind()
    except RuntimeError as error:
        raise SnapshotError(
            f"Could not pin {count * state_format.nbytes} bytes of host memory for {count} more "
            f"states: {error}. Keep fewer states, keep them in a coarser dtype, or on disk."
        ) from error


def _share_used(nbytes: int) -> float:
    return nbytes / (1 << (nbytes - 1).bit_length())


def _release(buffers: list[Tensor], staged: deque[InFlight], arriving: dict[int, InFlight]) -> None:
    for in_flight in (*staged, *arriving.values()):
        in_flight.settle()
    staged.clear()
    arriving.clear()
    # torch itself waits for the copies from and to pinned memory before it is used again.
    buffers.clear()
