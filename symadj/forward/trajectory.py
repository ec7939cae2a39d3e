"""What a solve leaves behind: the steps it took, and what it cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from symadj.forward.carried import Carried


def time_tensor(t: float, device: torch.device) -> Tensor:
    """Return a time as callers are told it: a float64 scalar, where the device has float64."""
    return torch.tensor(t, dtype=torch.float32 if device.type == "mps" else torch.float64).to(
        device
    )


class Stretch(NamedTuple):
    """The piece of the time axis that one step covers, and how ``f`` is asked at its ends.

    Attributes
    ----------
    t0, t1 : float
        Where it starts and ends.
    h : float
        The step size as it is used, ``t1 - t0`` up to rounding; negative where time runs backwards.
    first_side, end_side : int
        Whether the first slope, and the stages at ``t1``, are evaluated one representable number
        before (-1) or after (+1) their time, as seen in the direction of integration, or at it (0).
        So a step need not look across a discontinuity at its ends.
    """

    t0: float
    t1: float
    h: float
    first_side: int
    end_side: int

    @property
    def span(self) -> tuple[float, ...]:
        """Start, size, end, and the sides as signed directions: what graphs and C++ are given."""
        direction = math.copysign(1.0, self.h)
        sides = (self.first_side * direction, self.end_side * direction)
        return (self.t0, self.h, self.t1, *sides)


BELOW_ONE = math.nextafter(1.0, 0.0)


def thetas_in(stretch: Stretch, times: Sequence[float], first: int) -> tuple[float, ...]:
    """Return where in the stretch the outputs from ``first`` on lie, as far as it reaches."""
    thetas = []
    for index in range(first, len(times)):
        time = times[index]
        if (time - stretch.t1) * stretch.h > 0:
            break
        theta = (time - stretch.t0) / (stretch.t1 - stretch.t0)
        # Rounding must not make an output inside the step pass for one at its end.
        thetas.append(1.0 if time == stretch.t1 else min(theta, BELOW_ONE))
    return tuple(thetas)


class Step(NamedTuple):
    """One accepted step: all that is needed to take it again, to the bit.

    Attributes
    ----------
    stretch : Stretch
    shares_first_slope : bool
        Whether its first slope is the end slope of the step before.
    first_output : int
        Index of the first output time in ``(t0, t1]``.
    thetas : tuple of float
        Where in the step the outputs from ``first_output`` on lie, in ``(0, 1]``, increasing.
    has_fixed_end : bool
        Whether it ends at a prescribed time, which stays where it is when the initial time moves.
    carried : tuple of Carried
        What ``f`` carried before the evaluation of each slope, the end slope's last if it was
        made; empty where ``f`` carries nothing.
    """

    stretch: Stretch
    shares_first_slope: bool
    first_output: int
    thetas: tuple[float, ...]
    has_fixed_end: bool = False
    carried: tuple[Carried, ...] = ()

    @property
    def has_end_output(self) -> bool:
        """Whether an output lies exactly at the step's end, where it is the next state itself."""
        return bool(self.thetas) and self.thetas[-1] == 1.0

    @property
    def interior_thetas(self) -> tuple[float, ...]:
        """Where the outputs lie that are strictly inside the step."""
        return self.thetas[:-1] if self.has_end_output else self.thetas

    @property
    def outputs(self) -> slice:
        """Indices of all its outputs."""
        return slice(self.first_output, self.first_output + len(self.thetas))

    @property
    def interior_outputs(self) -> slice:
        """Indices of the outputs that are strictly inside the step."""
        return slice(self.first_output, self.first_output + len(self.interior_thetas))


StepGrid = Sequence[Step]
"""The accepted steps of a solve, in order."""

Anchor = tuple[int | None, int | None]
"""Which knots the start and the end of a step move with; None for none."""


def anchors(steps: StepGrid, *, has_grid: bool) -> list[Anchor]:
    """Return what each step hangs on.

    On a grid, those are its points. Otherwise it is the initial time alone: all steps move with it
    and keep their sizes, up to one that ends at a prescribed time, and none beyond that.
    """
    if has_grid:
        return [(index, index + 1) for index in range(len(steps))]
    found: list[Anchor] = []
    knot: int | None = 0
    for step in steps:
        end = None if step.has_fixed_end else knot
        found.append((knot, end))
        knot = end
    return found


KeepStep = Callable[[Step, Sequence[Tensor], Sequence[Any]], None]
"""Told of every accepted step, its stage states, and what its evaluations have left: what is kept
is not the loop's affair."""

KeepTable = Callable[[Tensor], None]
"""Told of the states of many steps, shape (1 + k, n): that at the start of the first, then of each
the stage states after its first, if they are wanted, and that at its end."""


@dataclass(slots=True)
class Stats:
    """What a solve cost; the fields of the backward pass are filled when it has run.

    Attributes
    ----------
    nfe_forward : int
        Evaluations of ``f`` in the forward solve.
    num_accepted, num_rejected : int
        Steps of the forward solve.
    snapshot_bytes : int
        Memory of the states that are kept for the backward pass, wherever they lie. Of what
        autograd saves where activations are kept, only these states are counted.
    num_snapshots : int
        The most states that were kept at once.
    nfe_backward : int
        Evaluations of ``f`` in the latest backward pass: those with a graph and the replayed.
    nvjp : int
        Vector-Jacobian products of ``f`` in the latest backward pass.
    num_replayed : int
        Evaluations among ``nfe_backward`` that only made a state again.
    num_replayed_steps : int
        Steps that were taken again as a whole in the latest backward pass, because fewer states
        than steps were kept.
    """

    nfe_forward: int = 0
    num_accepted: int = 0
    num_rejected: int = 0
    snapshot_bytes: int = 0
    num_snapshots: int = 0
    nfe_backward: int = 0
    nvjp: int = 0
    num_replayed: int = 0
    num_replayed_steps: int = 0
