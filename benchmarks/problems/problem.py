"""What a benchmark problem is: a vector field, initial values, output times and a loss."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

State = Tensor | tuple[Tensor, ...]
"""An ODE's state: one tensor or a tuple of tensors."""


@dataclass(frozen=True)
class ProblemInstance:
    """A problem of one size, ready to be solved and differentiated.

    Attributes
    ----------
    field : torch.nn.Module
        The vector field f(t, y); its parameters are the ones to be differentiated.
    y0 : Tensor or tuple of Tensor
        Initial state; the first dimension of each tensor is the batch.
    t : Tensor, shape (num_outputs,)
        Output times, t[0] the initial one, always in float64.
    loss : torch.nn.Module
        Maps the states at the output times, (num_outputs, batch, ...), to a scalar.
    batch_size : int
        Number of samples solved together.
    jump_t : tuple of float
        Times, inside the interval, at which the field jumps, as where one stacked block hands
        over to the next. An adaptive solver is to stop there (its option ``jump_t``), a solver
        with a fixed grid to look at either side (``perturb``).
    """

    field: nn.Module
    y0: State
    t: Tensor
    loss: nn.Module
    batch_size: int
    jump_t: tuple[float, ...] = ()

    def to(self, dtype: torch.dtype, device: torch.device) -> ProblemInstance:
        """Return a copy with the same numbers in another dtype or on another device."""
        y0 = (
            tuple(part.to(device, dtype) for part in self.y0)
            if isinstance(self.y0, tuple)
            else self.y0.to(device, dtype)
        )
        return ProblemInstance(
            field=copy.deepcopy(self.field).to(device, dtype),
            y0=y0,
            t=self.t.to(device),
            loss=copy.deepcopy(self.loss).to(device, dtype),
            batch_size=self.batch_size,
            jump_t=self.jump_t,
        )


@dataclass(frozen=True)
class Problem:
    """A benchmark problem, its origin and the accuracy it is solved to.

    Attributes
    ----------
    name : str
        The name in result files.
    source : str
        Where the problem was published, and what this version keeps of it.
    version : str
        Raised by hand whenever the numbers change, so that asv discards older results.
    data : {"real", "computed", "synthetic"}
        Where the data come from: measured, computed from a known equation, or drawn at random.
    rtol, atol, first_step : float
        Tolerances of adaptive solves and their first step, in units of t.
    make : callable
        Maps (size, seed) to an instance in float64 on the CPU.
    published_size : str
        The size of the publication, batch included; empty where none is published.
    reference_rtol : float
        Relative tolerance at which the exact solution's gradient is computed. A field with kinks
        takes steps beyond number to be solved to the default.
    """

    name: str
    source: str
    version: str
    data: Literal["real", "computed", "synthetic"]
    rtol: float
    atol: float
    first_step: float
    make: Callable[[str, int], ProblemInstance]
    published_size: str = ""
    reference_rtol: float = 1e-8

    def build(
        self, size: str, dtype: torch.dtype, device: torch.device, seed: int = 0
    ) -> ProblemInstance:
        """Make the instance of this size.

        The numbers are drawn in float64 and rounded, so that every dtype sees the same problem.
        """
        return self.make(size, seed).to(dtype, device)


def parse_size(size: str) -> tuple[str, int]:
    """Split a size such as ``"2-50-2 batch 20"`` into the network's text and the batch size.

    >>> parse_size("2-50-2 batch 20")
    ('2-50-2', 20)
    """
    match = re.fullmatch(r"(?P<network>\S.*) batch (?P<batch>[1-9]\d*)", size)
    if match is None:
        raise ValueError(
            f"size {size!r} is not of the form '<network> batch <samples>', "
            "for example '2-50-2 batch 20'"
        )
    return match["network"], int(match["batch"])


def parse_widths(network: str, num_inputs: int | None = None) -> tuple[int, ...]:
    """Split the widths of a fully connected network whose output has its input's width.

    >>> parse_widths("2-50-2")
    (2, 50, 2)
    """
    if re.fullmatch(r"[1-9]\d*(-[1-9]\d*)+", network) is None:
        raise ValueError(f"network {network!r} is not widths joined by '-', for example '2-50-2'")
    widths = tuple(int(width) for width in network.split("-"))
    if widths[0] != widths[-1]:
        raise ValueError(
            f"network {network!r} maps {widths[0]} numbers to {widths[-1]}; "
            "a vector field returns as many as it takes"
        )
    if num_inputs is not None and widths[0] != num_inputs:
        raise ValueError(
            f"network {network!r} takes {widths[0]} numbers; this problem's state has {num_inputs}"
        )
    return widths
