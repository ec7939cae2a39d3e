"""diffrax, jitted: recursive checkpoints, and the continuous adjoint solved backwards.

The field is its twin in JAX with the torch module's parameters, which are handed over at every
call; the loss stays torch's. Both passes are compiled, in the first call, which no clock counts.
JAX keeps the state's dtype, and in it the time. Its own interpolation and a last step that is cut
at the end make its steps its own, though their control is the same.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..discretization import Discretization
from ..environment import selected_num_threads
from ..problems import State
from .jax_twins import jax_twin
from .method import Method, NotOfferedError, Solve
from .packages import DIFFRAX, JAX, load

TABLEAUS = MappingProxyType(
    {
        "euler": "Euler",
        "midpoint": "Midpoint",
        "heun2": "Heun",
        "bosh3": "Bosh3",
        "tsit5": "Tsit5",
        "dopri5": "Dopri5",
        "dopri8": "Dopri8",
    }
)
ADJOINTS = MappingProxyType(
    {"recursive": "RecursiveCheckpointAdjoint", "backsolve": "BacksolveAdjoint"}
)
MAX_STEPS = 4096


def _jax() -> Any:
    """Import JAX, on as many threads as torch, with float64 for those who ask for it."""
    num_threads = selected_num_threads()
    if num_threads == 1:
        flag = "--xla_cpu_multi_thread_eigen=false"
        flags = os.environ.get("XLA_FLAGS", "")
        if flag not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
    os.environ.setdefault("NPROC", str(num_threads))  # XLA's own pool
    jax = load(JAX)
    jax.config.update("jax_enable_x64", True)
    return jax


@dataclass(frozen=True)
class _Program:
    """The two compiled passes."""

    forward: Any
    backward: Any


_PROGRAMS: WeakKeyDictionary[nn.Module, dict[object, _Program]] = WeakKeyDictionary()


def _compiled(field: nn.Module, adjoint: str, how: Discretization, times: Tensor) -> _Program:
    """Return a field's program; a second call with the same field compiles nothing."""
    key = (adjoint, how.tableau, how.rtol, how.atol, repr(dict(how.options)), tuple(times.tolist()))
    programs = _PROGRAMS.setdefault(field, {})
    if key not in programs:
        programs[key] = _program(field, adjoint, how, times)
    return programs[key]


def _program(field: nn.Module, adjoint: str, how: Discretization, times: Tensor) -> _Program:
    jax, diffrax = _jax(), load(DIFFRAX)
    if how.tableau not in TABLEAUS:
        raise NotOfferedError(f"diffrax has no {how.tableau}; it has {', '.join(TABLEAUS)}")
    # a copy without numbers, so that the field itself can be forgotten
    twin = jax_twin(jax, copy.deepcopy(field).to("meta"))
    term = diffrax.ODETerm(lambda t, y, arrays: twin(arrays, t, y))
    controller: Any = diffrax.ConstantStepSize()
    if "first_step" in how.options:
        controller = diffrax.PIDController(how.rtol, how.atol, norm=_mixed_norm(jax))
    elif "perturb" in how.options:
        raise NotOfferedError("diffrax looks at either side of a jump in adaptive solves only")
    size = float(how.options.get("first_step", how.options.get("step_size", 0.0)))
    first, last = float(times[0]), float(times[-1])
    arguments = {
        "solver": getattr(diffrax, TABLEAUS[how.tableau])(),
        "adjoint": getattr(diffrax, ADJOINTS[adjoint])(),
        "max_steps": MAX_STEPS,
    }

    def solve(arrays: Any, y0: Any) -> Any:
        dtype = jax.tree_util.tree_leaves(y0)[0].dtype
        ts = jax.numpy.asarray(times.tolist(), dtype=dtype)
        stepping = controller
        if "jump_t" in how.options:
            jumps = jax.numpy.asarray(how.options["jump_t"], dtype=dtype)
            stepping = diffrax.ClipStepSizeController(controller, jump_ts=jumps)
        solution = diffrax.diffeqsolve(
            term,
            t0=jax.numpy.asarray(first, dtype),
            t1=jax.numpy.asarray(last, dtype),
            dt0=jax.numpy.asarray(size, dtype),
            y0=y0,
            args=arrays,
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=stepping,
            **arguments,
        )
        return solution.ys, solution.stats

    def forward(arrays: Any, constants: Any, y0: Any) -> Any:
        def of_inputs(arrays: Any, y0: Any) -> Any:
            return solve({**arrays, **constants}, y0)

        ys, pull, stats = jax.vjp(of_inputs, arrays, y0, has_aux=True)
        return ys, pull, stats

    return _Program(jax.jit(forward), jax.jit(lambda pull, cotangents: pull(cotangents)))


def _mixed_norm(jax: Any) -> Any:
    """Return torchdiffeq's norm: the largest root mean square of a part of the state."""
    numpy = jax.numpy

    def norm(state: Any) -> Any:
        leaves = jax.tree_util.tree_leaves(state)
        means = [numpy.sqrt(numpy.mean(numpy.square(leaf))) for leaf in leaves]
        return numpy.max(numpy.stack(means))

    return norm


class _Solved(torch.autograd.Function):
    """The bridge: torch's tensors in, torch's gradients out, JAX's passes between."""

    @staticmethod
    def forward(
        ctx: Any,
        program: _Program,
        names: tuple[str, ...],
        constants: dict[str, Tensor],
        tell: Any,
        is_tuple: bool,
        *tensors: Tensor,
    ) -> Any:
        arrays = {name: _to_jax(tensor) for name, tensor in zip(names, tensors, strict=False)}
        parts = tuple(map(_to_jax, tensors[len(names) :]))
        fixed = {name: _to_jax(constant) for name, constant in constants.items()}
        ys, ctx.pull, stats = program.forward(arrays, fixed, parts if is_tuple else parts[0])
        ctx.program, ctx.names, ctx.is_tuple = program, names, is_tuple
        if tell is not None:
            tell(
                SolverStats(*(int(stats[f"num_{kind}_steps"]) for kind in ("accepted", "rejected")))
            )
        return tuple(map(_to_torch, ys if is_tuple else (ys,)))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        given = tuple(map(_to_jax, cotangents))
        arrays, y0 = ctx.program.backward(ctx.pull, given if ctx.is_tuple else given[0])
        ctx.pull = None
        parts = y0 if ctx.is_tuple else (y0,)
        grads = (*(arrays[name] for name in ctx.names), *parts)
        return None, None, None, None, None, *map(_to_torch, grads)


@dataclass(frozen=True)
class SolverStats:
    """What a solver tells of its steps that tells no callbacks."""

    num_accepted: int
    num_rejected: int


def _to_jax(tensor: Tensor) -> Any:
    return load(JAX).dlpack.from_dlpack(tensor.detach().contiguous())


def _to_torch(array: Any) -> Tensor:
    array.block_until_ready()
    tensor: Tensor = torch.utils.dlpack.from_dlpack(array)
    return tensor


def _diffrax(adjoint: str) -> Solve:
    def solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        jax = _jax()
        load(DIFFRAX)
        if t.device.type not in {
            device.platform.replace("gpu", "cuda") for device in jax.devices()
        }:
            raise NotOfferedError(f"the JAX that is installed has no {t.device.type}")
        tell = getattr(field, "callback_stats", None)
        bare = getattr(field, "field", field) if tell is not None else field
        assert isinstance(bare, nn.Module)
        program = _compiled(bare, adjoint, how, t)
        parameters = {name: param for name, param in bare.named_parameters() if param.requires_grad}
        constants = {
            name: tensor
            for name, tensor in bare.state_dict(keep_vars=True).items()
            if name not in parameters
        }
        parts = y0 if isinstance(y0, tuple) else (y0,)
        is_tuple = isinstance(y0, tuple)
        ys = _Solved.apply(  # type: ignore[no-untyped-call]
            program, tuple(parameters), constants, tell, is_tuple, *parameters.values(), *parts
        )
        outputs: State = ys if is_tuple else ys[0]
        return outputs

    return solve


METHODS = (
    Method("diffrax-recursive", _diffrax("recursive"), takes_same_steps=False),
    Method("diffrax-backsolve", _diffrax("backsolve"), is_exact=False, takes_same_steps=False),
)
