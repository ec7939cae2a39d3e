"""States kept on disk."""

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from symadj.adjoint.storage.format import StateFormat
from symadj.adjoint.storage.scratch import ScratchFile
from symadj.adjoint.storage.store import HeldBytes, SnapshotStore


class DiskStore(SnapshotStore):
    """States kept in a scratch file of their own, of which nothing remains.

    Bytes go from the tensor to the file, and from the file to the tensor that is returned: no other
    memory is taken, however many states there are. (The system keeps what it likes of the file in
    memory that nobody else wants.) A CUDA state passes through the host, and is waited for.

    Slots lie one behind the other, without padding: a state of one element takes its own bytes.

    Parameters
    ----------
    state_format : StateFormat
    folder : Path, optional
        Where the file lies: the system's folder for temporary files, unless given. Where that is in
        memory itself (tmpfs), name one that is not.

    Raises
    ------
    SnapshotError
        If no file can be made there.
    """

    def __init__(self, state_format: StateFormat, folder: Path | None = None) -> None:
        self._file = ScratchFile(folder)
        super().__init__(state_format, self._file.close)

    @property
    def nbytes(self) -> HeldBytes:
        """Memory that is occupied now."""
        return HeldBytes(disk=self._num_slots * self.format.nbytes)

    def _write(self, slot: int, state: Tensor, private: bool) -> None:
        # A conjugate, or an imaginary part, may be a view with a flag that its bytes do not show.
        kept = state.to("cpu", self.format.kept_dtype).contiguous().resolve_conj().resolve_neg()
        self._file.write(slot * self.format.nbytes, bytes_of(kept))

    def _read(self, slot: int) -> Tensor:
        kept = torch.empty(self.format.num_elements, dtype=self.format.kept_dtype, device="cpu")
        self._file.read(slot * self.format.nbytes, bytes_of(kept))
        return kept.to(self.format.device, self.format.dtype)

    def _erase(self, slot: int) -> None:
        pass


def bytes_of(tensor: Tensor) -> memoryview:
    """Return the memory of a contiguous CPU tensor, whatever its dtype; not a copy.

    It is valid as long as the tensor is. (By way of NumPy there would be no bfloat16, and one
    dependency more.)
    """
    array = (ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr())
    return memoryview(array).cast("B")
