"""States that lie on several devices: DTensors, of which each process integrates its own share.

torch's module of DTensors takes seconds to import. Where there is a DTensor, somebody has done so.
"""

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symadj.errors import InvalidInputError, InvalidSlopeError


@dataclass(frozen=True, slots=True)
class Layout:
    """How one part of a state is spread over a mesh of devices.

    Attributes
    ----------
    mesh : DeviceMesh
    placements : tuple of Placement
        Shards and replicas, one for each dimension of the mesh.
    shape : torch.Size
        Of the whole.
    """

    mesh: Any
    placements: tuple[Any, ...]
    shape: torch.Size

    @staticmethod
    def of(part: Any) -> "Layout":
        """Read the layout off a DTensor.

        Raises
        ------
        InvalidInputError
            If a process holds neither a shard nor a replica.
        """
        kinds = (_tensors().Shard, _tensors().Replicate)
        if any(type(placement) not in kinds for placement in part.placements):
            raise InvalidInputError(
                f"y0 is a DTensor with the placements {part.placements}. Allowed are Shard and "
                f"Replicate: call y0.redistribute(placements=...) first."
            )
        return Layout(part.device_mesh, tuple(part.placements), part.shape)

    @property
    def groups(self) -> tuple[Any, ...]:
        """The groups of processes that hold it, one for each dimension of the mesh."""
        return tuple(self.mesh.get_group(dim) for dim in range(self.mesh.ndim))

    def spread(self, local: Tensor, num_leading: int) -> Tensor:
        """Return the DTensor of which this process has a share.

        Parameters
        ----------
        local : Tensor, shape (..., *local shape)
        num_leading : int
            Dimensions before those of the part, which every process holds in full.
        """
        shape = torch.Size((*local.shape[:num_leading], *self.shape))
        shard = _tensors().Shard
        placements = [
            shard(placement.dim + num_leading) if placement.is_shard() else placement
            for placement in self.placements
        ]
        stride = torch.empty(shape, device="meta").stride()
        whole: Tensor = _tensors().DTensor.from_local(
            local, self.mesh, placements, run_check=False, shape=shape, stride=stride
        )
        return whole

    def share(self, whole: Any) -> Tensor:
        """Return this process's share of a DTensor, laid out as the state is.

        Raises
        ------
        InvalidSlopeError
            If it is no DTensor of that shape.
        """
        if not is_spread(whole) or whole.shape != self.shape:
            raise InvalidSlopeError(
                f"f must return dy/dt as y0 is, a DTensor of shape {tuple(self.shape)}, and "
                f"returned a {type(whole).__name__} of shape {tuple(whole.shape)}."
            )
        placed = whole
        if tuple(whole.placements) != self.placements or whole.device_mesh != self.mesh:
            placed = whole.redistribute(self.mesh, self.placements)
        local: Tensor = placed.to_local()
        return local


def is_spread(value: Any) -> bool:
    """Return whether a value is a DTensor."""
    return "torch.distributed.tensor" in sys.modules and isinstance(value, _tensors().DTensor)


def _tensors() -> Any:
    return sys.modules["torch.distributed.tensor"]


def local_part(value: Any) -> Tensor:
    """Return what this process holds of a tensor that is spread."""
    local: Tensor = value.to_local()
    return local
