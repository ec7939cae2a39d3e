"""What the tests of the stores share."""

from pathlib import Path

import torch
from torch import Tensor

from symadj.adjoint.storage import Place, SnapshotStore, make_store

DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]


def random_bits(num_elements: int, dtype: torch.dtype) -> Tensor:
    """Return numbers with every bit pattern: subnormals, infinities, NaNs with a payload."""
    return torch.randint(0, 256, (num_elements * dtype.itemsize,), dtype=torch.uint8).view(dtype)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def store_in(
    place: str, folder: Path, like: Tensor, dtype: torch.dtype | None = None
) -> SnapshotStore:
    """Make a store; "folder" stands for a path, which no test can be parametrized with."""
    chosen: Place = folder if place == "folder" else place  # type: ignore[assignment]
    return make_store(chosen, like, dtype)
