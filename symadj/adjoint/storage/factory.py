"""The choice of a store."""

import os
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from symadj.adjoint.storage.disk import DiskStore
from symadj.adjoint.storage.format import StateFormat
from symadj.adjoint.storage.pinned import PinnedStore
from symadj.adjoint.storage.store import SnapshotStore
from symadj.adjoint.storage.tensors import TensorStore
from symadj.errors import InvalidInputError, UnsupportedError

Place: TypeAlias = Literal["device", "host", "disk"] | os.PathLike[str]
"""Where states are kept; a path is a folder, and means on disk, there."""


def make_store(place: Place, like: Tensor, dtype: torch.dtype | None = None) -> SnapshotStore:
    """Make an empty store for the states of one solve.

    Parameters
    ----------
    place : "device", "host", "disk" or path
        - "device": where the solve runs.
        - "host": in the host's memory, pinned and copied beside the computation if the solve runs
          on CUDA. If it runs on the CPU, this is "device".
        - "disk": in a file without a name, in the system's folder for temporary files.
        - path: likewise, in that folder, which has to exist.
    like : Tensor, shape (n,)
        A state of the solve.
    dtype : torch.dtype, optional
        In which precision to keep the states, if not their own: float32 or bfloat16 for float64,
        bfloat16 for float32, complex64 for complex128. The gradient is then no longer exact.

    Returns
    -------
    SnapshotStore

    Raises
    ------
    InvalidInputError
        If there is no such place, or states cannot be kept in that precision.
    SnapshotError
        If nothing can be written in that folder.
    UnsupportedError
        If the state is wrapped by a ``torch.func`` transform and is to leave its device.

    Examples
    --------
    >>> store = make_store("disk", torch.zeros(3))
    >>> store.put(0, torch.tensor([1.0, 2.0, 3.0]))
    >>> store.get(0)
    tensor([1., 2., 3.])
    >>> store.nbytes
    HeldBytes(device=0, host=0, disk=12)
    >>> store.close()
    """
    state_format = StateFormat.of(like, dtype)
    if place == "device" or (place == "host" and like.device.type == "cpu"):
        return TensorStore(state_format)
    if place not in {"host", "disk"} and not isinstance(place, os.PathLike):
        raise InvalidInputError(
            f'place={place!r} is not known. Allowed are "device", "host", "disk" and a folder as a '
            f"path object, such as pathlib.Path({place!r})."
        )
    if torch._C._functorch.is_functorch_wrapped_tensor(like):
        raise UnsupportedError(
            f"place={place!r} was given inside a torch.func transform, whose tensors have no bytes "
            f'to copy. Allowed there is place="device".'
        )
    if place == "host":
        if like.device.type == "cuda":
            return PinnedStore(state_format)
        return TensorStore(state_format, torch.device("cpu"))
    return DiskStore(state_format, None if place == "disk" else Path(os.fsdecode(place)))
