"""Stacked ODE blocks as one ODE, each of them in its own unit of time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..problem import State


class StackedField(nn.Module):
    """M blocks one after the other: block m acts for m <= t < m + 1, and sees the time t - m.

    So a stack of M flows is one solve over [0, M], its state handed from block to block. It jumps
    at 1, ..., M - 1, where a solver should stop and forget its last slope: one that is not told
    spends most of its attempts on finding out. Solving ``blocks[0]``, ``blocks[1]``, ... in turn
    over [0, 1] is the same thing.

    Parameters
    ----------
    blocks : sequence of torch.nn.Module
        Vector fields of (time, state), all of the same state.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    @property
    def t(self) -> Tensor:
        """The initial and the final time, shape (2,), float64."""
        return torch.tensor([0.0, len(self.blocks)], dtype=torch.float64)

    @property
    def jump_t(self) -> tuple[float, ...]:
        """The times at which one block hands over to the next."""
        return tuple(float(m) for m in range(1, len(self.blocks)))

    def forward(self, t: Tensor, state: State) -> State:
        """Return the acting block's slope, in the state's shapes."""
        m = 0
        if len(self.blocks) > 1:  # a single one need not read the time, which makes a GPU wait
            m = min(max(int(t.detach()), 0), len(self.blocks) - 1)
        slope: State = self.blocks[m](t - m, state)
        return slope
