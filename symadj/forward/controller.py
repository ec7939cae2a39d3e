"""How large the steps are: a fixed grid, steps of one size, or error control.

A controller holds settings only. What changes from step to step goes in and comes out, so that one
controller can serve any number of solves.

The error control is torchdiffeq's unless other coefficients are given, and that is the elementary
one (Hairer, Norsett & Wanner I, II.4): a step is accepted where the norm of
``error / (atol + rtol max(|y_n|, |y_{n+1}|))`` is at most 1, and the next has the size
``h min(ifactor, max(dfactor, safety ratio^(-1/order)))``. It differs from Hairer's in that the
exponent is 1/order for every tableau, not 1/(order of the estimate + 1), and that a step which was
accepted is never followed by a smaller one.

With ``pcoeff``, ``icoeff``, ``dcoeff`` it is the PID controller of digital control (Söderlind, ACM
TOMS 29(1), 2003, doi:10.1145/641876.641877): the factor is ``safety r_n^(-β1) r_{n-1}^(-β2)
r_{n-2}^(-β3)`` of the last three ratios, ``β1 = (p + i + d)/order``, ``β2 = -(p + 2d)/order``,
``β3 = d/order``. The names and their meaning are those of diffrax and torchode; (0, 1, 0) is the
elementary controller, (0.4, 0.3, 0) a PI controller that they recommend.
"""

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor

from symadj.errors import NonFiniteError
from symadj.forward.agreement import Agreement
from symadj.forward.field import Field
from symadj.forward.scalars import scalar
from symadj.forward.transforms import largest, plain
from symadj.types import Norm


def torch_power(base: float, exponent: float) -> float:
    """Return a power, to the bits of torchdiffeq's."""
    return torch.pow(torch.scalar_tensor(base, dtype=torch.float64), exponent).item()


def plain_power(base: float, exponent: float) -> float:
    """Return a power as the C library does, which differs in the last bit now and then."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


Carry: TypeAlias = tuple[float, ...]
"""What a controller carries from step to step."""


class Proposal(NamedTuple):
    """A step that might be taken.

    Attributes
    ----------
    t1, h : float
        Its end, and its signed size.
    has_fixed_end : bool
        Whether it ends at a prescribed time.
    ends_at_jump : bool
        Whether ``f`` is discontinuous there.
    """

    t1: float
    h: float
    has_fixed_end: bool = False
    ends_at_jump: bool = False


class StepSizes(Protocol):
    """What the time loop asks of a controller."""

    is_adaptive: bool
    has_grid: bool
    max_attempts: int

    def propose(self, t0: float, carry: Carry) -> Proposal:
        """Return the next step to try from ``t0``."""

    def judge(self, proposal: Proposal, ratio: float, carry: Carry) -> tuple[bool, Carry]:
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
    has_grid = True
    max_attempts = 2**63

    def propose(self, t0: float, carry: Carry) -> Proposal:
        """Return the next step of the grid."""
        index = int(carry[0])
        return Proposal(self.ends[index], self.sizes[index])

    def judge(self, proposal: Proposal, ratio: float, carry: Carry) -> tuple[bool, Carry]:
        """Accept: on a fixed grid there is nothing to judge."""
        return True, (carry[0] + 1,)


@dataclass(frozen=True, slots=True)
class EqualSteps:
    """Steps of one size without an end, for a solve that an event ends.

    Attributes
    ----------
    h : float
        The signed size.
    max_attempts : int
        After how many steps to give the event up.
    """

    h: float
    max_attempts: int
    is_adaptive = False
    has_grid = False

    def propose(self, t0: float, carry: Carry) -> Proposal:
        """Return the next step."""
        return Proposal(t0 + self.h, self.h)

    def judge(self, proposal: Proposal, ratio: float, carry: Carry) -> tuple[bool, Carry]:
        """Accept."""
        return True, carry


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorControl:
    """Step sizes by the estimated error.

    ``carry`` is the size, without sign, of the next step, and the ratios of the last two that were
    accepted.

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
    pid : tuple of three floats
        Proportional, integral and derivative coefficient.
    max_attempts : int
        Steps that may be tried between two outputs.
    stops : tuple of float
        Times at which a step has to end, in the order in which they are met.
    prescribed, jumps : frozenset of float
        Those among them that were prescribed, and those at which ``f`` is discontinuous; the others
        are output times.
    round_time : callable
        Rounds a time to the dtype in which times are kept.
    power : callable
        ``(base, exponent)``: of compiled steps, which have no bits to keep, `plain_power`.
    agreement : Agreement or None
        With the processes that take the same steps; the norm is then one over all of them.
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
    pid: tuple[float, float, float]
    max_attempts: int
    stops: tuple[float, ...] = ()
    prescribed: frozenset[float] = frozenset()
    jumps: frozenset[float] = frozenset()
    round_time: Callable[[float], float] = float
    power: Callable[[float, float], float] = torch_power
    agreement: Agreement | None = None
    is_adaptive = True
    has_grid = False

    def propose(self, t0: float, carry: Carry) -> Proposal:
        """Return a step of the size carried, within its bounds, and not across a stop."""
        h = self.round_time(self.direction * self._bounded(carry[0]))
        t1 = self.round_time(t0 + h)
        stop = self.stop_after(t0)
        if stop is not None and (t1 - stop) * self.direction >= 0:
            # A step that ends there by itself keeps its own size, to the bit.
            h = h if stop == t1 else self.round_time(stop - t0)
            return Proposal(stop, h, stop in self.prescribed, stop in self.jumps)
        return Proposal(t1, h)

    def stop_after(self, t0: float) -> float | None:
        """Return the next time at which a step has to end; None where there is none."""
        if not self.stops:
            return None
        after = bisect.bisect_right(
            self.stops, t0 * self.direction, key=lambda stop: stop * self.direction
        )
        return self.stops[after] if after < len(self.stops) else None

    def judge(self, proposal: Proposal, ratio: float, carry: Carry) -> tuple[bool, Carry]:
        """Accept where the error is small enough, or the step as small as allowed."""
        size = abs(proposal.h)
        if not math.isfinite(ratio):
            # The step may have left the domain of f: a smaller one may not.
            return False, (self._bounded(size * self.dfactor), *carry[1:])
        accepted = ratio <= 1 or size <= self.min_step
        size = self._bounded(size * self._factor(ratio, carry))
        return accepted, (size, ratio, carry[1]) if accepted else (size, *carry[1:])

    def error_ratio(self, error: Tensor, y0: Tensor, y1: Tensor) -> float:
        """Return the norm of the error in units of the tolerance; the one host sync of a step.

        Parameters
        ----------
        error, y0, y1 : Tensor, shape (n,)
            Estimated error, and the states at both ends of the step.
        """
        scale = torch.maximum(y0.abs(), y1.abs())
        rtol, atol = (
            tolerance if isinstance(tolerance, Tensor) else scalar(tolerance, scale.dtype)
            for tolerance in (self.rtol, self.atol)
        )
        scale.mul_(rtol).add_(atol)
        return abs(float(largest(torch.as_tensor(self.norm(error / scale)))))

    def ratio_of_failure(self) -> float:
        """Return the ratio of a step that could not be taken, and let the other processes know."""
        if self.agreement is not None:
            self.agreement.tell_failed_step()
        return math.inf

    def _factor(self, ratio: float, carry: Carry) -> float:
        if ratio == 0:
            return self.ifactor
        least = 1.0 if ratio < 1 else self.dfactor
        # After a rejection earlier ratios must not make the next step larger.
        most = self.ifactor if ratio <= 1 else min(self.ifactor, self.safety)
        p, i, d = self.pid
        power = self.power(ratio, (p + i + d) / self.order)
        for exponent, earlier in zip((-(p + 2 * d), d), carry[1:], strict=True):
            if exponent and earlier:
                power *= self.power(earlier, exponent / self.order)
        return min(most, max(self.safety / power, least))

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
            if bool(torch.isfinite(plain(y0)).all()):
                what = "f(t0, y0), or it in units of the tolerance,"
            raise NonFiniteError(
                f"{what} holds NaN or infinite numbers at t0 = {t0}: every entry must be finite. "
                f"Look for a division by zero, a logarithm or a root at the initial state, and "
                f"give a tolerance above zero.",
                t=t0,
                y=field.packing.unpack(y0),
            )
        h0 = torch.full_like(d0, 1e-6) if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
        t = torch.tensor(t0 + self.direction * h0.item(), dtype=h0.dtype, device=y0.device)
        change = field(t, y0 + self.direction * h0 * slope) - slope
        d2 = self._norm_of(change / scale) / h0
        if d1 <= 1e-15 and d2 <= 1e-15:
            h1 = torch.clamp(h0 * 1e-3, min=1e-6)
        else:
            h1 = (0.01 / torch.maximum(d1, d2)) ** (1.0 / self.order)
        size = torch.minimum(100 * h0, h1).item()
        # Where f is not finite a little beyond, steps are made smaller until it is.
        return size if math.isfinite(size) else h0.item()

    def _norm_of(self, flat: Tensor) -> Tensor:
        norm = largest(torch.as_tensor(self.norm(flat)))
        return norm.to(flat.device, flat.dtype.to_real()).abs()


def rms_norm(x: Tensor) -> Tensor:
    """Root mean square of a vector: torchdiffeq's norm, to the bit, for a single tensor."""
    squares = x.abs().pow(2) if x.is_complex() else x * x
    return squares.mean().sqrt()


def largest_rms_norm(parts: tuple[Tensor, ...]) -> Tensor:
    """Largest root mean square among the parts, torchdiffeq's norm for a tuple state."""
    return torch.stack([rms_norm(part) for part in parts if part.numel()]).max()
