"""The gradient of an event's time, and of the state there as the event moves.

With ``c(t, y(t))`` zero at the event, ``dt* = -(∂c/∂y dy) / (∂c/∂t + ∂c/∂y ẏ)`` by the implicit
function theorem, ẏ being the slope of the interpolant: the derivative of what was computed.
"""

from typing import Any

import torch
from torch import Tensor

from symadj.errors import InvalidTypeError, SolveError, UnsupportedError
from symadj.forward.event import Event


class _EventTime(torch.autograd.Function):
    """The time at which a function is zero, by its value there and its rate of change."""

    @staticmethod
    def forward(ctx: Any, time: Tensor, value: Tensor, rate: Tensor) -> Tensor:
        ctx.save_for_backward(rate)
        return time.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivatives()
        (rate,) = ctx.saved_tensors
        return None, -(cotangent / rate).to(rate.dtype), None


class _StateThere(torch.autograd.Function):
    """The state at a time, which moves along the trajectory with the time."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, time: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        ctx.time_dtype = time.dtype
        return y.clone()

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivatives()
        (slope,) = ctx.saved_tensors
        return cotangent, torch.vdot(slope, cotangent).real.to(ctx.time_dtype), None


def _refuse_second_derivatives() -> None:
    if torch.is_grad_enabled():
        raise UnsupportedError(
            "create_graph=True was given, and an event's time has first derivatives only. Leave it "
            "out; or, for second derivatives, solve to a time t that is given, without event_fn."
        )


def at_event(event: Event, time: Tensor, y: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Let the time of an event, and the state there, have the gradient that they should.

    Parameters
    ----------
    event : Event
    time : Tensor, shape ()
        When it is.
    y, slope : Tensor, shape (n,)
        State and time derivative there, the time held fixed.

    Returns
    -------
    tuple of Tensor, shapes () and (n,)

    Raises
    ------
    InvalidTypeError
        If the event's function returns no tensor.
    SolveError
        If the event's function only touches zero: its time has no derivative.
    """
    if y.requires_grad and not isinstance(event.function(time, event.packing.unpack(y)), Tensor):
        raise InvalidTypeError(
            "event_fn returned a plain number, through which no gradient flows. Return a tensor, "
            "or solve under torch.no_grad()."
        )
    value = event(time, y)
    if not value.requires_grad:
        return time, y
    with torch.enable_grad():
        moving = torch.zeros((), dtype=slope.dtype.to_real(), device=y.device, requires_grad=True)
        along = event(time.detach() + moving.to(time.dtype), y.detach() + moving * slope)
        (rate,) = torch.autograd.grad(along, moving, allow_unused=True)
    if rate is None or rate == 0:
        raise SolveError(
            f"event_fn does not change along the trajectory at the event, t = {time.item()!r}: its "
            f"time has no derivative. Use a function that goes through zero there, or solve under "
            f"torch.no_grad().",
            t=time.item(),
            y=event.packing.unpack(y.detach()),
        )
    time = _EventTime.apply(time, value, rate)  # type: ignore[no-untyped-call]
    return time, _StateThere.apply(y, time, slope)  # type: ignore[no-untyped-call]
