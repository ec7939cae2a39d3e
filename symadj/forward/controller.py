"""How large the steps are: a fixed grid, or error control.

A controller holds settings only. What changes from step to step goes in and comes out, so that one
controller can serve any number of solves.

The error control is torchdiffeq's, which is the elementary one (Hairer, Norsett & Wanner I, II.4):
a step is accepted where the norm of ``error / (atol + rtol max(|y_n|, |y_{n+1}|))`` is at most 1,
and the next has the size ``h min(ifactor, max(dfactor, safety ratio^(-1/order)))``. It differs from
Hairer's in that the exponent is 1/order for every tableau, not 1/(order of the estimate + 1), and
that a step which was accepted is never followed by a smaller one.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from symadj.errors import NonFiniteError
from symadj.forward.field import Field
from symadj.types import Norm


@dataclass(frozen=True, slots=True)
class Proposal:
    """A step that might be taken: its end, its signed size, and what the controller carries."""

    t1: float
    h: float


class StepSizes(Protocol):
    """What the time loop asks of a controller; ``carry`` is the controller's own between steps."""

    is_adaptive: bool
    max_attempts: int

    def propose(self, t0: float, carry: float) -> Proposal:
        """Return the next step to try from ``t0``."""

    def judge(self, proposal: Proposal, ratio: float, carry: float) -> tuple[bool, float]:
        """Return whether the step is accepted, and the next ``carry``."""


@dataclass(frozen=True, slots=True)
class FixedGrid:
    """Steps given beforehand; ``carry`` is the number of steps taken.

    Attributes
    ----------
    ends, sizes : tuple of float
        End and signed size of each step.
    """

    ends: tuple[float, ...]
    sizes: tuple[float, ...]
    is_adaptive = False
    max_attempts = 2**63

    def propose(self, t0: float, carry: float) -> Proposal:
        """Return the next step of the grid."""
        index = int(carry)
        return Proposal(self.ends[index], self.sizes[index])

    def judge(self, proposal: Proposal, ratio: float, carry: float) -> tuple[bool, float]:
        """Accept: on a fixed grid there is nothing to judge."""
        return True, carry + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorControl:
    """Step sizes by the estimated error; ``carry`` is the size, without sign, of the next step.

    Attributes
    ----------
    order : int
        Order of the propagated solution.
    rtol, atol : float or Tensor, shape (n,)
        Relative and absolute tolerance, for all elements of the state or for each.
    norm : callable
        Norm of a flat vector of scaled errors.
    first_step : float or None
        Size of the first step; None to select it.
    min_step, max_step : float
        Bounds on the size; a step at the lower bound is accepted whatever its error.
    safety, ifactor, dfactor : float
        Safety factor, largest growth and largest shrinking of the step size.
    max_attempts : int
        Steps that may be tried between two outputs.
    """

    order: int
    direction: float
    rtol: float | Tensor
    atol: float | Tensor
    norm: Norm
    first_step: float | None
    min_step: float
    max_step: float
    safety: float
    ifactor: float
    dfactor: float
    max_attempts: int
    is_adaptive = True

    def propose(self, t0: float, carry: float) -> Proposal:
        """Return a step of the size carried, within its bounds."""
        h = self.direction * self._bounded(carry)
        return Proposal(t0 + h, h)

    def judge(self, proposal: Proposal, ratio: float, carry: float) -> tuple[bool, float]:
        """Accept where the error is small enough, or the step as small as allowed."""
        size = abs(proposal.h)
        if not math.isfinite(ratio):
            # The step may have left the domain of f: a smaller one may not.
            return False, self._bounded(size * self.dfactor)
        accepted = ratio <= 1 or size <= self.min_step
        return accepted, self._bounded(size * self._factor(ratio))

    def error_ratio(self, error: Tensor, y0: Tensor, y1: Tensor) -> float:
        """Return the norm of the error in units of the tolerance; the one host sync of a step.

        Parameters
        ----------
        error, y0, y1 : Tensor, shape (n,)
            Estimated error, and the states at both ends of the step.
        """
        scale = torch.maximum(y0.abs(), y1.abs()).mul_(self.rtol).add_(self.atol)
        return abs(float(self.norm(error / scale)))

    def _factor(self, ratio: float) -> float:
        if ratio == 0:
            return self.ifactor
        smallest = 1.0 if ratio < 1 else self.dfactor
        # torch's power, not Python's: they differ in the last bit now and then.
        power = torch.tensor(ratio, dtype=torch.float64) ** (1 / self.order)
        return min(self.ifactor, max(self.safety / power.item(), smallest))

    def _bounded(self, size: float) -> float:
        return min(max(size, self.min_step), self.max_step)

    def select_first_step(self, field: Field, t0: float, y0: Tensor, slope: Tensor) -> float:
        """Choose the size of the first step (Hairer, Norsett & Wanner I, II.4).

        Parameters
        ----------
        field : Field
            Evaluated once.
        t0 : float
            Initial time.
        y0, slope : Tensor, shape (n,)
            Initial state, and ``f`` there.

        Returns
        -------
        float
            The size, positive; not clipped to the interval, as in torchdiffeq.

        Raises
        ------
        NonFiniteError
            If ``f`` is NaN or infinite at the initial state, or the state itself is.
        """
        scale = y0.abs().mul_(self.rtol).add_(self.atol)
        # In the dtype of the state, as in torchdiffeq, whose first step is then the same number.
        d0, d1 = self._norm_of(y0 / scale), self._norm_of(slope / scale)
        if not math.isfinite(d0) or not math.isfinite(d1):
            what = "y0"
            if bool(torch.isfinite(y0).all()):
                what = "f(t0, y0), or it in units of the tolerance,"
            raise NonFiniteError(
                f"{what} holds NaN or infinite numbers at t0 = {t0}: every entry must be finite. "
                f"Look for a division by zero, a logarithm or a root at the initial state, and "
                f"give a tolerance above zero.",
                t=t0,
                y=field.packing.unpack(y0),
            )
        h0 = y0.new_tensor(1e-6).real if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
        t = torch.tensor(t0 + self.direction * h0.item(), dtype=h0.dtype, device=y0.device)
        change = field(t, y0 + self.direction * h0 * slope) - slope
        d2 = self._norm_of(change / scale) / h0
        if d1 <= 1e-15 and d2 <= 1e-15:
            h1 = torch.clamp(h0 * 1e-3, min=1e-6)
        else:
            h1 = (0.01 / torch.maximum(d1, d2)) ** (1.0 / self.order)
        return torch.minimum(100 * h0, h1).item()

    def _norm_of(self, flat: Tensor) -> Tensor:
        return torch.as_tensor(
            self.norm(flat), dtype=flat.dtype.to_real(), device=flat.device
        ).abs()


def rms_norm(x: Tensor) -> Tensor:
    """Root mean square of a vector: torchdiffeq's norm, to the bit, for a single tensor."""
    return x.abs().pow(2).mean().sqrt()


def largest_rms_norm(parts: tuple[Tensor, ...]) -> Tensor:
    """Largest root mean square among the parts, torchdiffeq's norm for a tuple state."""
    return torch.stack([rms_norm(part) for part in parts if part.numel()]).max()
