"""States kept as tensors in ordinary memory: the solve's own device, or the host."""

import torch
from torch import Tensor

from symadj.adjoint.storage.format import StateFormat
from symadj.adjoint.storage.store import HeldBytes, SnapshotStore


class TensorStore(SnapshotStore):
    """States kept as tensors.

    A tensor that is dropped goes back to the allocator instead of being overwritten with the next
    state: the caller may still have it in hand (a step is often transposed from a state that was
    just dropped), and what is not needed again is of use to ``f``. The allocators of torch hand
    such a block out again at once.

    Parameters
    ----------
    state_format : StateFormat
    where : torch.device, optional
        Where they lie: the device of the solve, unless given. Copies to another one are waited for.
    """

    def __init__(self, state_format: StateFormat, where: torch.device | None = None) -> None:
        self._where = state_format.device if where is None else where
        self._tensors: dict[int, Tensor] = {}
        super().__init__(state_format, self._tensors.clear)

    @property
    def nbytes(self) -> HeldBytes:
        """Memory that is occupied now."""
        total = len(self._tensors) * self.format.nbytes
        return HeldBytes(device=total) if self._where == self.format.device else HeldBytes(0, total)

    def _write(self, slot: int, state: Tensor, private: bool) -> None:
        self._tensors[slot] = state.to(self._where, self.format.kept_dtype, copy=not private)

    def _read(self, slot: int) -> Tensor:
        return self._tensors[slot].to(self.format.device, self.format.dtype)

    def _erase(self, slot: int) -> None:
        del self._tensors[slot]
