"""The front door: check, pack the state, solve, unpack."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symadj.adjoint.schedule import Checkpoints, Schedule
from symadj.adjoint.snapshots import Snapshots
from symadj.autograd import Record, SymplecticAdjoint
from symadj.captured import CapturedTensors
from symadj.errors import InvalidInputError, InvalidTimesError, InvalidTypeError
from symadj.forward.controller import ErrorControl, FixedGrid, largest_rms_norm, rms_norm
from symadj.forward.field import Field
from symadj.forward.interpolation import dense, linear
from symadj.forward.observer import Observer
from symadj.forward.solve import Integration, Solved, integrate
from symadj.forward.trajectory import Stats, StepGrid
from symadj.options import read_options, tableau_named
from symadj.state import Packing
from symadj.tableaus import ButcherTableau
from symadj.types import State, VectorField


@dataclass(frozen=True, slots=True)
class Solution:
    """What `solve` returns.

    Attributes
    ----------
    ys : Tensor or tuple of Tensor, shape (T, *shape)
        The state at each output time; differentiable.
    ts : Tensor, shape (T,)
        The output times: the ``t`` that was given.
    steps : sequence of Step
        The steps that were accepted.
    stats : Stats
        What it cost; the backward part is filled by ``backward()``.
    """

    ys: State
    ts: Tensor
    steps: StepGrid
    stats: Stats


def odeint(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    rtol: float | Tensor | tuple[float | Tensor, ...] = 1e-7,
    atol: float | Tensor | tuple[float | Tensor, ...] = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints = None,
) -> State:
    """Solve ``dy/dt = func(t, y)``, with the exact gradient of the steps taken.

    The steps and outputs are those of ``torchdiffeq.odeint``. The gradient is that of
    backpropagation through the accepted steps, their sizes held fixed, and needs the memory of one
    evaluation of ``func`` and of the states that are kept (the symplectic adjoint method:
    Matsubara, Miyatake & Yaguchi, NeurIPS 2021, arXiv:2102.09750).

    Parameters
    ----------
    func : callable or torch.nn.Module
        ``func(t, y)`` returns dy/dt, of the shape of ``y``; ``t`` is a scalar tensor of the real
        dtype of ``y``.
    y0 : Tensor, or tuple of Tensor
        Initial state, of any shape, floating point or complex.
    t : Tensor, shape (T,)
        The initial time, then the output times, strictly increasing or decreasing.
    rtol, atol : float, Tensor, or a tuple of them, one for each part of a tuple state
        Relative and absolute tolerance of an adaptive method.
    method : str, optional
        ``"dopri5"`` unless given. Adaptive: adaptive_heun, fehlberg2, bosh3, dopri5, tsit5, dopri8.
        Fixed steps: euler, midpoint, heun2, heun3, rk4 (the 3/8 rule), rk4_classic.
    options : mapping, optional
        Adaptive methods: ``first_step``, ``min_step``, ``max_step``, ``safety``, ``ifactor``,
        ``dfactor``, ``max_num_steps``, ``norm``. Fixed steps: ``step_size``,
        ``grid_constructor``, ``interp`` ("linear" or "cubic"), ``perturb``.
    adjoint_params : iterable of Tensor, optional
        What gets a gradient beside ``y0`` and ``t``. Unless given: the parameters of ``func``, if
        it is a module, and every leaf tensor that its first evaluation is seen to read.
    checkpoints : None or "stages"
        What is kept for the backward pass: every accepted state, or every stage state too, which
        is faster and takes s times the memory.

    Returns
    -------
    Tensor or tuple of Tensor, shape (T, *shape)
        The state at each time of ``t``.

    Raises
    ------
    SymadjError
        See `symadj.errors` for the tree of what can go wrong.

    Examples
    --------
    >>> import torch
    >>> from symadj import odeint
    >>> rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    >>> y0 = torch.tensor([1.0], dtype=torch.float64)
    >>> t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    >>> ys = odeint(lambda t, y: -rate * y, y0, t)
    >>> ys[-1].backward()
    >>> abs(rate.grad + 2 * torch.exp(torch.tensor(-1.0))).item() < 1e-6
    True
    """
    return solve(
        func,
        y0,
        t,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        adjoint_params=adjoint_params,
        checkpoints=checkpoints,
    ).ys


def solve(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    rtol: float | Tensor | tuple[float | Tensor, ...] = 1e-7,
    atol: float | Tensor | tuple[float | Tensor, ...] = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints = None,
) -> Solution:
    """Solve as `odeint` does, and return the steps and what they cost beside the outputs.

    Parameters are those of `odeint`.

    Returns
    -------
    Solution

    Examples
    --------
    >>> import torch
    >>> from symadj import solve
    >>> y0 = torch.ones(3, requires_grad=True)
    >>> solution = solve(lambda t, y: -y, y0, torch.linspace(0.0, 1.0, 5), method="rk4")
    >>> solution.ys.shape, solution.stats.num_accepted, solution.stats.nfe_forward
    (torch.Size([5, 3]), 4, 16)
    >>> solution.ys[-1].sum().backward()
    >>> solution.stats.nvjp, solution.stats.num_replayed
    (16, 12)
    """
    tableau = tableau_named(method)
    read = read_options(tableau, options)
    schedule = Schedule.of(checkpoints)
    packing = Packing.of(y0)
    params = _given_params(func, adjoint_params)
    flat = packing.pack(y0)
    _check_times(t)
    times = t.to(flat.device)
    field = Field(func, packing)
    knots, pinned = _knots(tableau, read, func, y0, times)
    ivp = _integration(field, tableau, read, times, knots, rtol, atol)

    stats = Stats()
    tracked = torch.is_grad_enabled()
    wants_time = tracked and (times.requires_grad or knots.requires_grad)
    captured = CapturedTensors(params)
    if tracked and adjoint_params is None:
        field.inspector = captured
    snapshots = Snapshots(tableau.num_evaluations if schedule.keeps_stages else 1)
    with torch.no_grad():
        solved = integrate(
            ivp,
            flat.detach(),
            stats,
            keep_step=snapshots.keep if tracked else None,
            want_stages=tracked and schedule.keeps_stages,
            want_output_slopes=wants_time and not pinned,
        )
    stats.nfe_forward = field.nfe
    params += tuple(captured.found)
    ys = solved.ys
    if tracked and (wants_time or flat.requires_grad or params):
        ys = _attach(ivp, solved, snapshots, stats, flat, times, knots, pinned, params)
    return Solution(packing.unpack(ys), t, solved.steps, stats)


def _attach(
    ivp: Integration,
    solved: Solved,
    snapshots: Snapshots,
    stats: Stats,
    y0: Tensor,
    times: Tensor,
    knots: Tensor,
    pinned: bool,
    params: tuple[Tensor, ...],
) -> Tensor:
    """Make the outputs of a solve differentiable."""
    stats.snapshot_bytes = sum(state.nbytes for state in (solved.y_end, *snapshots.tensors))
    record = Record(ivp, solved.steps, snapshots.per_step, stats, len(params))
    internals = (solved.output_slopes, solved.y_end, *snapshots.tensors)
    ys: Tensor = SymplecticAdjoint.apply(  # type: ignore[no-untyped-call]
        record, [solved.ys], internals, y0, None if pinned else times, knots, *params
    )
    return ys


def _given_params(func: VectorField, adjoint_params: Iterable[Tensor] | None) -> tuple[Tensor, ...]:
    """Return what gets a gradient beside state and time, as far as the caller named it."""
    if adjoint_params is not None:
        given = tuple(adjoint_params)
        for param in given:
            if not isinstance(param, Tensor):
                raise InvalidTypeError(
                    f"adjoint_params holds a {type(param).__name__}. Allowed are tensors: pass "
                    f"module.parameters(), or the tensors themselves."
                )
    elif isinstance(func, torch.nn.Module):
        given = tuple(func.parameters())
    else:
        given = ()
    return tuple(param for param in given if param.requires_grad)


def _check_times(t: Any) -> None:
    """Raise unless ``t`` is a strictly monotone vector of finite floats."""
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
    values = t.detach()
    if not bool(torch.isfinite(values).all()):
        raise InvalidTimesError(f"t holds NaN or infinite times: {_brief(values)}.")
    steps = values.diff()
    if not (bool((steps > 0).all()) or bool((steps < 0).all())):
        raise InvalidTimesError(
            f"t must be strictly increasing or strictly decreasing, and is {_brief(values)}: sort "
            f"it, and leave out repeated times (torch.unique does both)."
        )


def _brief(values: Tensor) -> str:
    listed = values.tolist()
    return str(listed) if len(listed) <= 8 else f"{listed[:4]} ... {listed[-4:]}"


def _knots(
    tableau: ButcherTableau,
    read: Mapping[str, Any],
    func: VectorField,
    y0: State,
    times: Tensor,
) -> tuple[Tensor, bool]:
    """Return the times on which the steps hang, and whether the outputs hang on them too."""
    if tableau.is_adaptive:
        return times[:1], False
    if read["step_size"] is not None:
        return _regular_grid(times, float(read["step_size"])), False
    if read["grid_constructor"] is None:
        return times, True
    grid = read["grid_constructor"](func, y0, times)
    _check_times(grid)
    if grid[0] != times[0] or grid[-1] != times[-1]:
        raise InvalidTimesError(
            f"grid_constructor returned a grid from {grid[0].item()!r} to {grid[-1].item()!r}. "
            f"Allowed is one that begins at t[0] = {times[0].item()!r} and ends at "
            f"t[-1] = {times[-1].item()!r}."
        )
    return grid, False


def _regular_grid(times: Tensor, step_size: float) -> Tensor:
    """Return steps of one size from the first time on, the last shortened; as torchdiffeq's."""
    if len(times) == 1:
        return times
    start, end = times[0], times[-1]
    direction = 1.0 if bool(end > start) else -1.0
    count = int(torch.ceil((end - start).detach() * direction / step_size + 1).item())
    offsets = torch.arange(count - 1, dtype=times.dtype, device=times.device) * step_size
    return torch.cat([offsets * direction + start, end.reshape(1)])


def _integration(
    field: Field,
    tableau: ButcherTableau,
    read: Mapping[str, Any],
    times: Tensor,
    knots: Tensor,
    rtol: Any,
    atol: Any,
) -> Integration:
    """Put together what does not carry a gradient."""
    listed = tuple(times.detach().double().tolist())
    control: FixedGrid | ErrorControl
    if not tableau.is_adaptive:
        grid = knots.detach()
        control = FixedGrid(
            ends=tuple(grid[1:].double().tolist()), sizes=tuple(grid.diff().double().tolist())
        )
        is_linear = read["interp"] == "linear"
    else:
        is_linear = False
        first_step = read["first_step"]
        control = ErrorControl(
            order=tableau.order,
            direction=math.copysign(1.0, listed[-1] - listed[0]),
            rtol=_tolerance("rtol", rtol, field.packing, times.device),
            atol=_tolerance("atol", atol, field.packing, times.device),
            norm=_norm(read["norm"], field.packing),
            first_step=None if first_step is None else float(first_step),
            min_step=float(read["min_step"]),
            max_step=float(read["max_step"]),
            safety=float(read["safety"]),
            ifactor=float(read["ifactor"]),
            dfactor=float(read["dfactor"]),
            max_attempts=int(read["max_num_steps"]),
        )
    return Integration(
        field=field,
        tableau=tableau,
        interpolant=linear(tableau) if is_linear else dense(tableau),
        step_sizes=control,
        times=listed,
        time_dtype=None if tableau.is_adaptive else knots.dtype,
        perturb=bool(read.get("perturb", False)),
        observer=Observer(field.func, field.packing),
    )


def _norm(norm: Callable[[Any], Any] | None, packing: Packing) -> Callable[[Tensor], Any]:
    """Return a norm of flat vectors: the caller's sees the caller's form of the state."""
    if norm is not None:
        return lambda flat: norm(packing.unpack(flat))
    if packing.is_tuple:
        return lambda flat: largest_rms_norm(tuple(packing.unpack(flat)))
    return rms_norm


def _tolerance(name: str, given: Any, packing: Packing, device: torch.device) -> float | Tensor:
    """Return a tolerance as a number, or as one number for each element of the flat state."""
    if isinstance(given, tuple | list):
        if not packing.is_tuple or len(given) != len(packing.shapes):
            raise InvalidInputError(
                f"{name} is a tuple of {len(given)}. Allowed is a number, or, for a tuple state, "
                f"one for each of its parts; y0 has {len(packing.shapes)}."
            )
        # as_tensor makes float32 of a Python float, and torchdiffeq leaves it at that: so do we.
        parts = [
            torch.as_tensor(part).expand(shape).reshape(-1)
            for part, shape in zip(given, packing.shapes, strict=True)
        ]
        tolerance: float | Tensor = torch.cat(parts).to(device, torch.float64)
    elif isinstance(given, Tensor) and given.numel() > 1:
        tolerance = given.detach().to(device).expand(packing.shapes[0]).reshape(-1)
    else:
        tolerance = float(given)
    if not bool(torch.as_tensor(tolerance >= 0).all()):
        raise InvalidInputError(f"{name} is {given!r}, and must be at least 0 everywhere.")
    return tolerance
