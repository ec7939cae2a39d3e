"""A fixed grid as output times, for solvers that step from output to output."""

from __future__ import annotations

import torch
from torch import Tensor

from ..discretization import Discretization
from .method import NotOfferedError


def grid_of_outputs(t: Tensor, how: Discretization) -> tuple[Tensor, list[int]]:
    """Return the grid, and where on it the outputs are.

    Raises
    ------
    NotOfferedError
        If an output is not on the grid.
    """
    step_size = float(how.options["step_size"])
    num_steps = round(float(t[-1] - t[0]) / step_size)
    grid = torch.linspace(float(t[0]), float(t[-1]), num_steps + 1, dtype=t.dtype, device=t.device)
    rows = [round(float(time - t[0]) / step_size) for time in t]
    if not torch.allclose(grid[rows], t):
        raise NotOfferedError("this solver steps from output to output, on no other grid")
    return grid, rows
