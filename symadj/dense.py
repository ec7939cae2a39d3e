"""Dense output: a solve whose result can be asked for the state at any time, after the fact."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from symadj.adjoint.budget import MemoryBudget
from symadj.adjoint.plan import Plan
from symadj.adjoint.schedule import Checkpoints
from symadj.adjoint.storage import Place
from symadj.call import Call
from symadj.eager import eager
from symadj.errors import InvalidTimesError, InvalidTypeError
from symadj.forward.interpolation import differentiate, evaluate
from symadj.forward.solve import place_outputs
from symadj.forward.trajectory import Stats, Step
from symadj.reading import read_call
from symadj.run import Run
from symadj.state import Packing
from symadj.types import State, VectorField


class DenseOutput:
    """The trajectory of a solve, as a function of time.

    Attributes
    ----------
    t0, t1 : float
        Where it begins, and where it ends: at the end of the last step.
    stats : Stats
        What the solve cost; the backward part is that of the latest backward pass.
    plan : Plan or None
        How it stays within ``memory_budget``. What the calls of this object take is not in it.
    """

    def __init__(self, run: Run, packing: Packing) -> None:
        steps = run.solved.steps
        self._run, self._packing = run, packing
        self.t0 = run.reading.ivp.times[0]
        self.t1 = steps[-1].stretch.t1
        self.stats: Stats = run.stats
        self.plan: Plan | None = run.plan
        self._versions = [tensor._version for tensor in self._read()]

    @eager
    def __call__(self, t: Tensor | float) -> State:
        """Return the state at one time or several.

        Parameters
        ----------
        t : Tensor of any shape, or float
            Times between `t0` and `t1`, in any order.

        Returns
        -------
        Tensor or structure of Tensor, shape (*t.shape, *shape)
            Differentiable with respect to all that `odeint` is, and to ``t``. Each call has a
            backward pass of its own.

        Raises
        ------
        InvalidTimesError
            If a time lies outside.
        """
        run, solved = self._run, self._run.solved
        self._check_versions()
        start = run.reading.times[:1]
        asked = torch.as_tensor(t, dtype=start.dtype).to(start.device)
        flat = asked.reshape(-1)
        direction = 1.0 if self.t1 > self.t0 else -1.0
        order = torch.argsort(flat.detach() * direction, stable=True)
        listed = flat.detach()[order].double().tolist()
        for time in (*listed[:1], *listed[-1:]):
            if not min(self.t0, self.t1) <= time <= max(self.t0, self.t1):
                raise InvalidTimesError(
                    f"t = {time!r} lies outside of what was solved. Allowed are times between "
                    f"{self.t0!r} and {self.t1!r}: solve further, or ask for less."
                )
        steps = place_outputs((self.t0, *listed), solved.steps)
        ys, slopes = self._evaluate(steps, len(listed), want_slopes=asked.requires_grad)
        outputs = run.attach(torch.cat([start, flat[order]]), ys, steps, slopes)
        back = torch.argsort(order) + 1
        return self._packing.unpack(outputs[back].reshape(*asked.shape, outputs.shape[-1]))

    def _evaluate(
        self, steps: list[Step], count: int, *, want_slopes: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the values of the interpolants, and their derivatives if wanted."""
        ys = self._run.flat.detach().expand(1 + count, -1).clone()
        slopes = torch.zeros_like(ys) if want_slopes or self._knots_move() else None
        for step, polynomial in zip(steps, self._run.solved.polynomials or (), strict=True):
            if step.thetas:
                ys[step.outputs] = evaluate(polynomial, step.thetas)
                if slopes is not None:
                    slopes[step.outputs] = differentiate(polynomial, step.thetas, step.stretch.h)
        return ys, slopes

    def _read(self) -> tuple[Tensor, ...]:
        """Return the tensors that must be as they were, for a gradient."""
        sources = self._run.sources
        return (self._run.flat, *sources.params, *sources.arg_tensors)

    def _check_versions(self) -> None:
        for tensor, version in zip(self._read(), self._versions, strict=True):
            if torch.is_grad_enabled() and tensor._version != version:
                raise RuntimeError(
                    f"A tensor of shape {tuple(tensor.shape)} that f reads has been modified by an "
                    f"inplace operation since the solve: its trajectory has no gradient any more. "
                    f"Solve again, or ask for values only, under torch.no_grad()."
                )

    def _knots_move(self) -> bool:
        return torch.is_grad_enabled() and self._run.reading.knots.requires_grad


@eager
def odeint_dense(
    func: VectorField,
    y0: State,
    t0: Tensor | float,
    t1: Tensor | float,
    *,
    args: tuple[Any, ...] = (),
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    checkpoints: Checkpoints = None,
    offload: Place | None = None,
    memory_budget: MemoryBudget = None,
) -> DenseOutput:
    """Solve from ``t0`` to ``t1``, and return the trajectory as a function of time.

    Parameters
    ----------
    t0, t1 : Tensor, shape (), or float
        Where the solve begins and ends. It keeps the interpolant of every step: for dopri5 five
        states a step beside those for the backward pass.
    func, y0, args, rtol, atol, method, options, adjoint_params, checkpoints, offload, memory_budget
        As for `symadj.odeint`.

    Returns
    -------
    DenseOutput
        Call it with times.

    Raises
    ------
    SymadjError
        See `symadj.errors`.

    Examples
    --------
    >>> import torch
    >>> from symadj import odeint_dense
    >>> y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    >>> trajectory = odeint_dense(lambda t, y: -y, y0, 0.0, 2.0)
    >>> y = trajectory(torch.tensor([1.5, 0.5]))
    >>> y.shape, bool((y[0] - torch.exp(torch.tensor(-1.5))).abs() < 1e-6)
    (torch.Size([2, 1]), True)
    """
    call = Call.of(func, y0, args, adjoint_params, checkpoints, offload, memory_budget)
    if not isinstance(t0, Tensor):
        t0 = torch.tensor(float(t0), dtype=torch.float64)
    if t0.numel() != 1:
        raise InvalidTypeError(f"t0 must be one time, and has the shape {tuple(t0.shape)}.")
    t = torch.cat([t0.reshape(1), torch.as_tensor(t1).detach().to(t0).reshape(1)])
    reading = read_call(
        call.field,
        y0,
        t,
        call.flat,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        is_dense=True,
    )
    return DenseOutput(call.run(replace(reading, pinned=False), is_dense=True), call.packing)
