"""The front door: check, pack the state, solve, unpack."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from symadj.adjoint.budget import MemoryBudget
from symadj.adjoint.plan import Plan
from symadj.adjoint.schedule import Checkpoints
from symadj.adjoint.storage import Place
from symadj.call import Call
from symadj.eager import eager
from symadj.eventtime import at_event
from symadj.forward.event import Event
from symadj.forward.trajectory import Stats, StepGrid
from symadj.reading import read_call
from symadj.repeat import remember, repeated, signature_of
from symadj.run import Run
from symadj.types import EventFunction, State, VectorField


@dataclass(frozen=True, slots=True)
class Solution:
    """What `solve` returns.

    Attributes
    ----------
    ys : Tensor or structure of Tensor, shape (T, *shape)
        The state at each output time; differentiable.
    ts : Tensor, shape (T,)
        The output times: the ``t`` that was given; with an event, the initial time and the event's,
        which is differentiable.
    steps : sequence of Step
        The steps that were accepted.
    stats : Stats
        What it cost; the backward part is filled by ``backward()``.
    plan : Plan or None
        How it stays within ``memory_budget``, and what other ways would have cost: print it.
    """

    ys: State
    ts: Tensor
    steps: StepGrid
    stats: Stats
    plan: Plan | None = None


def odeint(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    args: tuple[Any, ...] = (),
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: EventFunction | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints = None,
    offload: Place | None = None,
    memory_budget: MemoryBudget = None,
) -> Any:
    """Solve ``dy/dt = func(t, y)``, with the exact gradient of the steps taken.

    The steps and outputs are those of ``torchdiffeq.odeint``. The gradient is that of
    backpropagation through the accepted steps, their sizes held fixed, and needs the memory of one
    evaluation of ``func`` and of the states that are kept (the symplectic adjoint method:
    Matsubara, Miyatake & Yaguchi, NeurIPS 2021, arXiv:2102.09750).

    Parameters
    ----------
    func : callable or torch.nn.Module
        ``func(t, y, *args)`` returns dy/dt, of the shape of ``y``; ``t`` is a scalar tensor of the
        real dtype of ``y``.
    y0 : Tensor, or tuple, list or dict of Tensor, nested as you like
        Initial state, of any shape, floating point or complex.
    t : Tensor, shape (T,)
        The initial time, then the output times, strictly increasing or decreasing.
    args : tuple
        What ``func`` is given beside time and state: tensors, or anything that holds them in
        tuples, lists and dicts. They get a gradient, also if they were computed before.
    rtol : float, Tensor, or a structure of them like that of a nested state
        Relative tolerance of an adaptive method.
    atol : float, Tensor, or a structure of them like that of a nested state
        Absolute tolerance, in the units of the state.
    method : str, optional
        ``"dopri5"`` unless given. Adaptive: adaptive_heun, fehlberg2, bosh3, dopri5, tsit5, dopri8.
        Fixed steps: euler, midpoint, heun2, heun3, rk4 (the 3/8 rule), rk4_classic. Implicit, for
        stiff problems: trbdf2, radauIIA5 (adaptive), implicit_euler, implicit_midpoint, trapezoid,
        sdirk2, radauIIA3, gl4, gl6 (fixed steps).
    options : mapping, optional
        Adaptive methods: ``first_step``, ``min_step``, ``max_step``, ``safety``, ``ifactor``,
        ``dfactor``, ``max_num_steps``, ``norm``, ``step_t`` (times at which a step ends),
        ``jump_t`` (those at which ``func`` is discontinuous), ``dtype`` (of time), as torchdiffeq;
        ``pcoeff``, ``icoeff``, ``dcoeff`` (a PID controller, as diffrax), ``output``
        ("interpolate", or "step" for steps that end at each output), ``sync_steps`` (True, or a
        `torch.distributed.ProcessGroup`: its processes take the same steps, those of one process
        with the states of all; an all-reduce for each). Fixed steps: ``step_size``,
        ``grid_constructor``, ``interp`` ("linear" or "cubic"), ``perturb``. All:
        ``compile`` (steps as compiled graphs: True, or the name of a backend of torch.compile; see
        Notes), ``progress`` (a bar, by tqdm), ``restore_buffers`` (see Notes), ``graphs`` (how many
        stages have their graph alive at once where stages are made again: each beyond the first
        saves one evaluation a step), ``snapshot_dtype`` (states kept in lower precision: the
        gradient is then not exact).
    event_fn : callable, optional
        ``event_fn(t, y)``: the solve ends where one of its entries becomes zero. ``t`` then holds
        the initial time, and another one for the direction.
    adjoint_params : iterable of Tensor, optional
        What gets a gradient beside ``y0``, ``t`` and ``args``. Unless given: the parameters of
        ``func``, if it is a module, and every tensor that it is seen to read or its code refers to.
    checkpoints : str or int, optional
        What is kept for the backward pass: every accepted state, unless given; ``"stages"``: every
        stage state too, which is faster and takes s times the memory; ``"activations"``: what
        autograd saves of every evaluation, the memory of backpropagation and its time, as nothing
        is evaluated again (of explicit methods); a number: at most so many
        states at once, that at the start among them, from which the others are made again.
    offload : str or path, optional
        Where states are kept: on their device, unless given; ``"host"``: in pinned memory of the
        host, for a solve on CUDA; ``"disk"``, or a folder: in a file without a name, in the folder
        for temporary files or in that one, of which nothing remains whatever happens.
    memory_budget : int or str, optional
        A limit on memory, in bytes or as ``"2GiB"``: the fastest of the ways that ``checkpoints``
        and ``graphs`` offer, within the limit, is taken. See Notes for what is counted.

    Returns
    -------
    Tensor or structure of Tensor, shape (T, *shape)
        The state at each time of ``t``. With an ``event_fn`` a pair: the time of the event, shape
        (), and the states at the initial time and at the event, both with the gradient that
        follows from the event's moving.

    Raises
    ------
    SymadjError
        See `symadj.errors` for the tree of what can go wrong.

    Notes
    -----
    ``func`` is evaluated again during the backward pass, unless activations are kept. Random
    numbers (dropout) are drawn as they were, from the default generators of the CPU and of the
    state's device; autocast is as it was. Buffers that ``func`` changes (BatchNorm's statistics,
    counters) are changed again, unless ``restore_buffers`` is given: then every evaluation finds
    them as it found them first, and the backward pass leaves them as they were.

    ``memory_budget`` counts what is allocated above the start of the call: outputs and their
    cotangents, gradients, states, and the use of ``func``, which is measured once for it and each
    form of its state, by three evaluations. It does not count what the caller computes from the
    outputs, nor second derivatives, nor memory that a kernel takes and returns within itself.

    With ``options={"compile": True}`` each step, and each transposed step, of an explicit method is
    one graph of ``torch.compile`` (torch 2.13 or later), compiled once for each ``func``, method
    and shape: that takes half a minute, and pays where ``func`` is small and called often. The
    graph is called with the guards of ``torch.compile`` once a solve. Where ``func`` cannot be
    traced (it draws random numbers, branches on values, changes Python objects, has a complex
    state), a `symadj.errors.CompileFallbackWarning` says so once, and the solve goes on without.
    Compiled steps are rounded otherwise, so under error control their sizes differ in the last
    digits; the gradient is exact for those that were taken.

    Higher derivatives (``create_graph=True``), forward mode and the transforms of ``torch.func``
    are exact too, and cost the memory of backpropagation. Under ``torch.func.vmap`` all samples
    take the same steps, those that the most demanding of them needs.

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
    solution = solve(
        func,
        y0,
        t,
        args=args,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        event_fn=event_fn,
        adjoint_params=adjoint_params,
        checkpoints=checkpoints,
        offload=offload,
        memory_budget=memory_budget,
    )
    return solution.ys if event_fn is None else (solution.ts[1], solution.ys)


@eager
def solve(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    args: tuple[Any, ...] = (),
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: EventFunction | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints = None,
    offload: Place | None = None,
    memory_budget: MemoryBudget = None,
) -> Solution:
    """Solve as `odeint` does, and return the steps and what they cost beside the outputs.

    Parameters are those of `odeint`.

    Returns
    -------
    Solution
        Outputs, times, steps, what they cost, and the plan.

    Raises
    ------
    SymadjError
        See `symadj.errors`.

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
    signature = None
    others = (event_fn, adjoint_params, offload, memory_budget)
    if type(args) is tuple and not args and all(other is None for other in others):
        signature = signature_of(y0, t, rtol, atol, method, options, checkpoints)
    run = None if signature is None else repeated(func, y0, t, signature)
    if run is None:
        call = Call.of(func, y0, args, adjoint_params, checkpoints, offload, memory_budget)
        reading = read_call(
            call.field,
            y0,
            t,
            call.flat,
            rtol=rtol,
            atol=atol,
            method=method,
            options=options,
            event_fn=event_fn,
        )
        run = call.run(reading, want_slopes=event_fn is not None)
        if signature is not None:
            remember(func, signature, run)
    ivp = run.reading.ivp
    if ivp.event is None:
        ts, ys = t, run.outputs()
    else:
        ts, ys = _event_outputs(ivp.event, run, t)
    return Solution(ivp.field.packing.unpack(ys), ts, run.solved.steps, run.stats, run.plan)


def _event_outputs(event: Event, run: Run, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the initial time and the event's, and the states there."""
    solved, times = run.solved, run.reading.times
    time = torch.tensor(solved.times[1], dtype=torch.float64).to(run.flat.device)
    slope = None if solved.output_slopes is None else solved.output_slopes[1]
    if solved.steps:
        asked = torch.stack([times[0], time.to(t.dtype)])
        ys = run.attach(asked, solved.ys, solved.steps, solved.output_slopes)
    else:  # it is met at the start: the state there hangs on where the start is
        with torch.no_grad():
            slope = run.reading.ivp.evaluate_at_start(run.flat)
        event = event.met_at_start()
        there = run.flat - slope * (times[0] - times[0].detach()).to(run.flat.dtype)
        ys = torch.stack([run.flat, there])
    if torch.is_grad_enabled() and slope is not None:
        time, y = at_event(event, time, ys[1], slope)
        ys = torch.stack([ys[0], y])
    return torch.stack([t[0], time.to(t)]), ys
