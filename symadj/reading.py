"""The caller's arguments, checked and read into an `Integration`."""

import ctypes
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from symadj.errors import (
    InvalidInputError,
    InvalidTimesError,
    InvalidTypeError,
    UnsupportedError,
)
from symadj.forward.agreement import Agreement, group_of
from symadj.forward.compiled import CompiledSteps
from symadj.forward.controller import (
    EqualSteps,
    ErrorControl,
    FixedGrid,
    largest_rms_norm,
    plain_power,
    rms_norm,
    torch_power,
)
from symadj.forward.event import Event
from symadj.forward.field import Field
from symadj.forward.interpolation import accurate, dense, linear
from symadj.forward.observer import Observer
from symadj.forward.solve import Integration
from symadj.forward.transforms import is_batched, is_transformed, plain
from symadj.options import DEFAULT_MAX_EVENT_STEPS, PlainOptions, read_options, tableau_named
from symadj.state import Packing
from symadj.tableaus import ButcherTableau
from symadj.types import EventFunction, State, VectorField

FINEST_EVENT = 1e-12
"""To within this an event's time is found where the absolute tolerance is zero."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the caller asked for.

    Attributes
    ----------
    ivp : Integration
        All that carries no gradient.
    times : Tensor, shape (T,)
        Initial time and output times, on the state's device.
    knots : Tensor, shape (K,)
        The times on which the steps hang: every grid point, or the initial time alone.
    pinned : bool
        Whether the outputs are the states at the knots, so that their times hang on them too.
    options : mapping
        The caller's options, with the defaults filled in.
    """

    ivp: Integration
    times: Tensor
    knots: Tensor
    pinned: bool
    options: Mapping[str, Any]


def read_call(
    field: Field,
    y0: State,
    t: Tensor,
    flat: Tensor,
    *,
    rtol: Any,
    atol: Any,
    method: str | None,
    options: Mapping[str, Any] | None,
    event_fn: EventFunction | None = None,
    is_dense: bool = False,
) -> Reading:
    """Read the arguments of a solve.

    Parameters
    ----------
    field : Field
    y0 : pytree of Tensor
        The initial state as the caller gave it.
    t : Tensor, shape (T,)
    flat : Tensor, shape (n,)
        The initial state, flat.
    rtol, atol, method, options, event_fn
        As for `symadj.odeint`.
    is_dense : bool
        Whether output at any time is wanted.

    Returns
    -------
    Reading

    Raises
    ------
    InvalidInputError, InvalidTypeError, UnsupportedError
        See `symadj.errors`.
    """
    tableau = tableau_named(method)
    read = read_options(tableau, options)
    values = check_times(t)
    for name, value in (("rtol", rtol), ("atol", atol), *(options or {}).items()):
        if isinstance(value, Tensor | tuple | list):
            _refuse_gradient(name, value)
    times = t.to(flat.device)
    listed = tuple(values)
    if event_fn is not None and read.get("sync_steps", False) is not False:
        raise UnsupportedError(
            "options['sync_steps'] and event_fn were given: processes that take the same steps end "
            "at the same time, and an event ends each at its own. Give t instead."
        )
    if field.packing.layouts is not None:
        _check_spread(event_fn, read, t)
    event = None
    if event_fn is not None:
        if len(listed) != 2:
            raise InvalidTimesError(
                f"t has {len(listed)} times. With an event_fn allowed are two: the initial one, "
                f"and any later or earlier one, for the direction in which to search."
            )
        tolerance = float(plain(torch.as_tensor(_least(atol)))) or FINEST_EVENT
        event = Event.starting(event_fn, field.packing, listed[0], flat, tolerance)
    control: FixedGrid | EqualSteps | ErrorControl
    if tableau.is_adaptive:
        knots, pinned = times[:1], False
        tolerances = (
            _tolerance("rtol", rtol, field.packing, flat.device),
            _tolerance("atol", atol, field.packing, flat.device),
        )
        norm = _norm(read["norm"], field.packing)
        is_plain = isinstance(read, PlainOptions) and norm is rms_norm
        is_plain &= not any(isinstance(tolerance, Tensor) for tolerance in tolerances)
        make_control = _plain_error_control if is_plain else _error_control
        control = make_control(tableau, read, flat.dtype, listed, *tolerances, norm)
        if read["sync_steps"] is not False or field.packing.layouts is not None:
            control = _in_agreement(control, field.packing, read, flat, listed)
    elif event is not None:
        knots, pinned = times[:1], False
        control = _equal_steps(read, listed)
    else:
        knots, pinned = _knots(read, field.func, y0, times)
        grid = plain(knots)
        control = FixedGrid(
            ends=tuple(grid[1:].double().tolist()), sizes=tuple(grid.diff().double().tolist())
        )
    interpolant = accurate(tableau) if is_dense or event is not None else dense(tableau)
    if read.get("interp") == "linear":
        interpolant = linear(tableau)
    time_dtype = None if tableau.is_adaptive else knots.dtype
    observer = Observer(field.func, field.packing, is_adaptive=tableau.is_adaptive)
    ivp = Integration(
        field=field,
        tableau=tableau,
        interpolant=interpolant,
        step_sizes=control,
        times=listed[:1] if event is not None else listed,
        event=event,
        time_dtype=time_dtype,
        perturb=bool(read.get("perturb", False)),
        observer=observer,
        compiled=CompiledSteps.of(
            field,
            tableau,
            control,
            time_dtype,
            read["compile"],
            is_alone=event is None and not observer.calls,
        ),
    )
    return Reading(ivp, times, knots, pinned, read)


def check_times(t: Any) -> list[float]:
    """Return the times of a strictly monotone vector of finite floats; raise if it is none."""
    if not isinstance(t, Tensor):
        raise InvalidTypeError(
            f"t must be a torch.Tensor of times, and is a {type(t).__name__}: pass torch.tensor(t)."
        )
    if not t.is_floating_point():
        raise InvalidTypeError(
            f"t must be floating point, and is {t.dtype}: pass t.float() or t.double()."
        )
    if t.ndim != 1 or t.numel() == 0:
        raise InvalidTimesError(
            f"t has the shape {tuple(t.shape)}. Allowed is a vector of at least one time, the "
            f"initial one: pass torch.stack([t0, t1]), or t.reshape(-1)."
        )
    if is_batched(t):
        raise UnsupportedError(
            "t is batched by torch.func.vmap. Allowed is one t for all samples, as they take the "
            "same steps: leave t out of in_dims, or rescale time in f (f(t * s, y) * s solves to "
            "t = s)."
        )
    values: list[float] = plain(t).tolist()
    if not all(map(math.isfinite, values)):
        raise InvalidTimesError(f"t holds NaN or infinite times: {_brief(values)}.")
    later = values[1:]
    if not (all(map(operator.lt, values, later)) or all(map(operator.gt, values, later))):
        raise InvalidTimesError(
            f"t must be strictly increasing or strictly decreasing, and is {_brief(values)}: sort "
            f"it, and leave out repeated times (torch.unique does both)."
        )
    return values


def _brief(listed: list[float]) -> str:
    return str(listed) if len(listed) <= 8 else f"{listed[:4]} ... {listed[-4:]}"


def _refuse_gradient(name: str, value: Any) -> None:
    """Raise if a gradient would flow from what has none: how the steps are chosen."""
    parts = value if isinstance(value, tuple | list) else (value,)
    if any(isinstance(part, Tensor) and part.requires_grad for part in parts):
        raise UnsupportedError(
            f"{name} requires a gradient, and has none: it only chooses the steps, whose sizes are "
            f"held fixed. Pass {name}.detach(). For the gradient of the time of a jump, solve up "
            f"to it and then on from it: t has a gradient."
        )


def _least(tolerance: Any) -> Any:
    """Return the smallest of the tolerances."""
    if isinstance(tolerance, Tensor):
        return tolerance.min()
    if isinstance(tolerance, tuple | list):
        return min(float(_least(part)) for part in tolerance)
    return tolerance


def _knots(
    read: Mapping[str, Any], func: VectorField, y0: State, times: Tensor
) -> tuple[Tensor, bool]:
    """Return the grid, and whether the outputs lie on its points."""
    if read["step_size"] is not None:
        return _regular_grid(times, float(read["step_size"])), False
    if read["grid_constructor"] is None:
        return times, True
    grid = read["grid_constructor"](func, y0, times)
    check_times(grid)
    ends, wanted = plain(grid)[[0, -1]].tolist(), plain(times)[[0, -1]].tolist()
    if ends != wanted:
        raise InvalidTimesError(
            f"grid_constructor returned a grid from {ends[0]!r} to {ends[1]!r}. Allowed is one "
            f"that begins at t[0] = {wanted[0]!r} and ends at t[-1] = {wanted[1]!r}."
        )
    return grid, False


def _regular_grid(times: Tensor, step_size: float) -> Tensor:
    """Return steps of one size from the first time on, the last shortened; as torchdiffeq's."""
    if len(times) == 1:
        return times
    start, end = times[0], times[-1]
    span = plain(end) - plain(start)
    direction = 1.0 if bool(span > 0) else -1.0
    count = int(torch.ceil(span * direction / step_size + 1).item())
    offsets = torch.arange(count - 1, dtype=times.dtype, device=times.device) * step_size
    return torch.cat([offsets * direction + start, end.reshape(1)])


def _equal_steps(read: Mapping[str, Any], times: tuple[float, ...]) -> EqualSteps:
    """Return the steps on which a method for fixed steps looks for an event."""
    if read["step_size"] is None:
        raise InvalidInputError(
            "A method for fixed steps needs options={'step_size': ...} to look for an event: it "
            "is not known before where the grid ends."
        )
    attempts = read["max_num_steps"] or DEFAULT_MAX_EVENT_STEPS
    return EqualSteps(math.copysign(float(read["step_size"]), times[1] - times[0]), int(attempts))


def _error_control(
    tableau: ButcherTableau,
    read: Mapping[str, Any],
    dtype: torch.dtype,
    times: tuple[float, ...],
    rtol: float | Tensor,
    atol: float | Tensor,
    norm: Callable[[Tensor], Any],
) -> ErrorControl:
    """Return the controller of an adaptive method, for states of a dtype."""
    direction = math.copysign(1.0, times[-1] - times[0])
    first_step = read["first_step"]
    jumps = _times_beyond("jump_t", read["jump_t"], times[0], direction)
    stops = _times_beyond("step_t", read["step_t"], times[0], direction)
    if jumps & stops:
        raise InvalidTimesError(
            f"step_t and jump_t share the times {sorted(jumps & stops)}: name each in one of them "
            f"(at a jump a step ends too)."
        )
    prescribed = frozenset(stops | jumps)
    if read["output"] == "step":
        stops |= set(times[1:])
    is_single = read["dtype"] == torch.float32 and dtype.to_real() != torch.float64
    return ErrorControl(
        order=tableau.estimate_order or tableau.order,
        direction=direction,
        rtol=rtol,
        atol=atol,
        norm=norm,
        first_step=None if first_step is None else float(first_step),
        min_step=float(read["min_step"]),
        max_step=float(read["max_step"]),
        safety=float(read["safety"]),
        ifactor=float(read["ifactor"]),
        dfactor=float(read["dfactor"]),
        pid=(float(read["pcoeff"]), float(read["icoeff"]), float(read["dcoeff"])),
        max_attempts=int(read["max_num_steps"]),
        stops=tuple(sorted(stops | jumps, key=lambda stop: stop * direction)),
        prescribed=prescribed,
        jumps=frozenset(jumps),
        round_time=_single if is_single else float,
        power=plain_power if read["compile"] else torch_power,
    )


_plain_error_control = lru_cache(maxsize=256)(_error_control)
"""For what is the same object whenever it is equal."""


def _in_agreement(
    control: ErrorControl,
    packing: Packing,
    read: Mapping[str, Any],
    flat: Tensor,
    times: tuple[float, ...],
) -> ErrorControl:
    """Return a controller whose norm is one over the states of several processes."""
    if is_transformed():
        raise UnsupportedError(
            "options['sync_steps'] has no torch.func transform. Use reverse mode (backward, "
            "torch.autograd.grad), or leave it out."
        )
    groups = _groups(packing, read["sync_steps"])
    told = {name: getattr(control, name) for name in AGREED}
    shown = (f"{name}={value!r}" for name, value in told.items() if not isinstance(value, Tensor))
    count = len(packing.shapes) if read["norm"] is None else 0
    what = f"t[0]={times[0]!r}, t[-1]={times[-1]!r}, {count} parts, {', '.join(shown)}"
    agreement = Agreement(groups, flat.device, count, what)
    if count:
        return replace(control, norm=agreement.root_mean_square(packing.split), agreement=agreement)
    return replace(control, norm=agreement.largest(control.norm), agreement=agreement)


def _groups(packing: Packing, given: Any) -> tuple[Any, ...]:
    """Return those whose processes take the same steps."""
    if given is False and packing.layouts is not None:
        return packing.layouts[0].groups
    return (group_of(given),)


def _check_spread(event_fn: EventFunction | None, read: Mapping[str, Any], t: Tensor) -> None:
    """Raise if more is asked of DTensors than there is."""
    what = None
    if event_fn is not None:
        what = "event_fn"
    elif read.get("norm") is not None:
        what = "options['norm']"
    elif t.requires_grad:
        what = "a gradient of t"
    if what is not None:
        raise UnsupportedError(
            f"y0 is a DTensor, and {what} is asked for. Allowed are the gradients of y0 and of "
            f"what f reads, and the default norm. For more, integrate y0.to_local() and make the "
            f"DTensor in f."
        )


AGREED = (
    *("order", "rtol", "atol", "first_step", "min_step", "max_step"),
    *("safety", "ifactor", "dfactor", "pid", "stops"),
)
"""Settings of the error control without which steps are not the same."""


def _single(x: float) -> float:
    """Round to float32."""
    return ctypes.c_float(x).value


def _times_beyond(name: str, given: Any, t0: float, direction: float) -> set[float]:
    """Return the prescribed times that lie beyond the start."""
    if given is None:
        return set()
    listed = torch.as_tensor(given, dtype=torch.float64).reshape(-1).tolist()
    if not all(math.isfinite(time) for time in listed) or len(set(listed)) < len(listed):
        raise InvalidTimesError(f"{name} = {listed} must hold finite times, each of them once.")
    return {time for time in listed if (time - t0) * direction > 0}


def _norm(norm: Callable[[Any], Any] | None, packing: Packing) -> Callable[[Tensor], Any]:
    """Return a norm of flat vectors: the caller's sees the caller's form of the state."""
    if norm is not None:
        return lambda flat: norm(packing.unpack(flat))
    if packing.is_nested:
        return lambda flat: largest_rms_norm(packing.split(flat))
    return rms_norm


def _tolerance(name: str, given: Any, packing: Packing, device: torch.device) -> float | Tensor:
    """Return a tolerance as a number, or as one number for each element of the flat state."""
    if isinstance(given, tuple | list | dict):
        try:
            listed = packing.parts_of(given) if packing.is_nested else ()
        except ValueError:
            listed = ()
        if not listed:
            raise InvalidInputError(
                f"{name} is a {type(given).__name__} of {len(given)}. Allowed is a number, or, for "
                f"a nested state, one for each of its parts, nested like it; y0 has "
                f"{len(packing.shapes)}."
            )
        # as_tensor makes float32 of a Python float, and torchdiffeq leaves it at that: so do we.
        parts = [
            torch.as_tensor(part).expand(shape).reshape(-1)
            for part, shape in zip(listed, packing.shapes, strict=True)
        ]
        tolerance: float | Tensor = torch.cat(parts).to(device, torch.float64)
    elif isinstance(given, Tensor) and given.numel() > 1:
        tolerance = given.detach().to(device).expand(packing.shapes[0]).reshape(-1)
    else:
        tolerance = float(given)
    is_allowed = tolerance >= 0
    if not (is_allowed if isinstance(is_allowed, bool) else bool(is_allowed.all())):
        raise InvalidInputError(f"{name} is {given!r}, and must be at least 0 everywhere.")
    return tolerance
