"""A state as one vector, for solvers that know no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..problems import State


@dataclass(frozen=True)
class FlatState:
    """The shapes of a state's parts, in the order in which they follow each other."""

    shapes: tuple[torch.Size, ...]
    is_tuple: bool

    @classmethod
    def of(cls, state: State) -> FlatState:
        """Return the shapes of a state."""
        parts = state if isinstance(state, tuple) else (state,)
        return cls(tuple(part.shape for part in parts), isinstance(state, tuple))

    def flatten(self, state: State) -> Tensor:
        """Return the state as one vector, shape (num_values,)."""
        parts = state if isinstance(state, tuple) else (state,)
        return torch.cat([part.reshape(-1) for part in parts])

    def split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """Return the parts of a vector (..., num_values), each (..., part)."""
        return torch.split(flat, [shape.numel() for shape in self.shapes], dim=-1)

    def unflatten(self, flat: Tensor) -> State:
        """Return the state of a vector (..., num_values); leading dimensions stay."""
        parts = tuple(
            part.reshape(*flat.shape[:-1], *shape)
            for part, shape in zip(self.split(flat), self.shapes, strict=True)
        )
        return parts if self.is_tuple else parts[0]

    def field(self, field: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the field on vectors."""
        return lambda t, flat: self.flatten(field(t, self.unflatten(flat)))

    def mixed_norm(self, flat: Tensor) -> Tensor:
        """Return the largest root mean square of a part, shape (...): torchdiffeq's norm."""
        means = [part.square().mean(dim=-1).sqrt() for part in self.split(flat)]
        return torch.stack(means).amax(dim=0)
