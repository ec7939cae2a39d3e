"""A field that jumps, solved piece by piece, for solvers that know of no jumps."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Solve


class OneSided(nn.Module):
    """A field as it is before a time: at that time, and later, it is what it was just before."""

    def __init__(self, field: nn.Module, end: float) -> None:
        super().__init__()
        self.field = field
        self.end = end

    def __getattr__(self, name: str) -> Any:
        """Hand on the callbacks, which belong to the field."""
        if name.startswith("callback_"):
            return getattr(self.field, name)
        return super().__getattr__(name)

    def forward(self, t: Tensor, y: State) -> State:
        """Return the field's dy/dt."""
        dtype = (y[0] if isinstance(y, tuple) else y).dtype
        end = torch.tensor(self.end, dtype=dtype, device=t.device)
        before = torch.nextafter(end, end - 1)
        slope: State = self.field(torch.minimum(t.to(dtype), before), y)
        return slope


def piece_by_piece(solve: Solve) -> Solve:
    """Return a solve that starts anew, with the first step, wherever the field jumps."""

    def solve_pieces(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        jumps = how.options.get("jump_t")
        if not isinstance(jumps, Tensor):
            return solve(field, y0, t, how)
        options = {name: value for name, value in how.options.items() if name != "jump_t"}
        within = Discretization(how.tableau, how.rtol, how.atol, MappingProxyType(options))
        bounds = [float(t[0]), *jumps.tolist(), float(t[-1])]
        state, outputs = y0, [_parts(y0)]
        for start, stop in pairwise(bounds):
            inside = [time for time in t.tolist() if start < time <= stop]
            times = [start, *inside, *([] if stop in inside else [stop])]
            ys = _parts(solve(OneSided(field, stop), state, t.new_tensor(times), within))
            outputs += [tuple(part[j] for part in ys) for j in range(1, 1 + len(inside))]
            ends = tuple(part[-1] for part in ys)
            state = ends if isinstance(y0, tuple) else ends[0]
        stacked = tuple(torch.stack(part) for part in zip(*outputs, strict=True))
        return stacked if isinstance(y0, tuple) else stacked[0]

    return solve_pieces


def _parts(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)
