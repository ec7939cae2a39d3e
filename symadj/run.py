"""One solve: made first, and its outputs then attached to autograd."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from symadj.adjoint.budget import MemoryBudget, read_budget
from symadj.adjoint.costs import Costs, costs_of
from symadj.adjoint.footprint import Differentiated
from symadj.adjoint.plan import Plan
from symadj.adjoint.planned import PlannedStates, plan_without_gradient
from symadj.adjoint.schedule import Checkpoints, Schedule
from symadj.adjoint.snapshots import Snapshots
from symadj.adjoint.storage import Place
from symadj.adjoint.stored import StoredStates
from symadj.autograd import Record, SymplecticAdjoint
from symadj.captured import CapturedTensors, candidates, check_histories, tensors_in_reach
from symadj.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState, Recorder
from symadj.forward.controller import ErrorControl, FixedGrid
from symadj.forward.field import Field
from symadj.forward.progress import progress_bar
from symadj.forward.solve import Integration, Solved, integrate
from symadj.forward.trajectory import Stats, StepGrid
from symadj.forward.transforms import is_transformed
from symadj.forward.unrolled import IMPLICIT_IS_REVERSE_ONLY, unroll
from symadj.parallel import Sharded, refusing_sharded, sharded_parameters
from symadj.reading import Reading
from symadj.state import Packing
from symadj.types import State, VectorField

BUDGET_IS_MEASURED = (
    "memory_budget finds out what f takes by differentiating it once, which FSDP2 would take for "
    "the model's backward pass. Give checkpoints=C instead, or shard the module whose forward pass "
    "calls symadj.odeint and not f by itself."
)

NEWTON_DIFFERENTIATES = (
    "An implicit method differentiates f within the solve, which FSDP2 would take for the model's "
    "backward pass. Take an explicit method, or shard the module whose forward pass calls "
    "symadj.odeint and not f by itself."
)


@dataclass(frozen=True, slots=True)
class Sources:
    """The tensors other than state and time from which a gradient may flow.

    Attributes
    ----------
    params : tuple of Tensor
        Those that were named, or seen to be read; a gradient of zeros where ``f`` does not use one.
    candidates : tuple of Tensor
        Leaves in reach of ``f`` that its first evaluation did not read.
    arg_tensors, arg_leaves : tuple of Tensor
        Those in ``args``, as they were given and as ``f`` sees them: cut from their history.
    is_complete : bool
        Whether they were searched for, rather than named by the caller.
    """

    params: tuple[Tensor, ...]
    candidates: tuple[Tensor, ...]
    arg_tensors: tuple[Tensor, ...]
    arg_leaves: tuple[Tensor, ...]
    is_complete: bool

    @property
    def given(self) -> tuple[Tensor, ...]:
        """All of them, as autograd knows them."""
        return (*self.params, *self.candidates, *self.arg_tensors)


@dataclass(frozen=True, slots=True)
class Run:
    """A solve that was made.

    Attributes
    ----------
    reading : Reading
    flat : Tensor, shape (n,)
        The initial state, with its history.
    solved : Solved
    snapshots : Snapshots
        What autograd keeps.
    stored : StoredStates or None
        What is kept in a store of its own.
    schedule : Schedule
    plan : Plan or None
        How the solve stays within its memory budget, if it has one.
    stats : Stats
    sources : Sources
    carried : CarriedState
    ambient : Ambient
    sharded : Sharded
        The modules called by ``f`` that are to be told of the solve.
    """

    reading: Reading
    flat: Tensor
    solved: Solved
    snapshots: Snapshots
    stored: StoredStates | None
    schedule: Schedule
    plan: Plan | None
    stats: Stats
    sources: Sources
    carried: CarriedState
    ambient: Ambient
    sharded: Sharded

    def outputs(self) -> Tensor:
        """Return the outputs at the times that were asked for, differentiable, shape (T, n)."""
        solved = self.solved
        return self.attach(self.reading.times, solved.ys, solved.steps, solved.output_slopes)

    def attach(
        self, times: Tensor, ys: Tensor | None, steps: StepGrid, output_slopes: Tensor | None
    ) -> Tensor:
        """Return the outputs, differentiable.

        Parameters
        ----------
        times : Tensor, shape (T,)
            Initial time and output times.
        ys : Tensor, shape (T, n), or None
            Their values; None under a transform.
        steps : sequence of Step
            With the outputs in their places.
        output_slopes : Tensor, shape (T, n), or None
            dy/dt at each, where the times have a gradient.

        Returns
        -------
        Tensor, shape (T, n)
        """
        reading, ivp = self.reading, self.reading.ivp
        record = Record(
            ivp=ivp,
            steps=steps,
            per_step=self.snapshots.per_step,
            stored=self.stored,
            graphs=self.schedule.graphs,
            stats=self.stats,
            num_params=len(self.sources.given),
            is_complete=self.sources.is_complete,
            candidates=self.sources.candidates,
            versions=tuple(tensor._version for tensor in self.sources.candidates),
            arg_leaves=self.sources.arg_leaves,
            pinned=reading.pinned,
            carried=self.carried,
            ambient=self.ambient,
        )
        if ys is None:
            with record.again() as replayer:
                return unroll(
                    ivp,
                    steps,
                    self.flat,
                    times,
                    reading.knots,
                    pinned=reading.pinned,
                    replayer=replayer,
                )
        wants = (self.flat, times, reading.knots, *self.sources.given)
        if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in wants):
            self.sharded.free()
            return ys
        y_end = None if self.schedule.capacity is not None else self.solved.y_end
        internals = (output_slopes, y_end, *self.snapshots.tensors)
        attached: Tensor = SymplecticAdjoint.apply(  # type: ignore[no-untyped-call]
            record,
            [ys],
            internals,
            self.flat,
            None if reading.pinned else times,
            reading.knots,
            *self.sources.given,
        )
        self.sharded.hand_over(attached)
        return attached


@dataclass(slots=True)
class Call:
    """What was asked for, before the solve.

    Attributes
    ----------
    packing : Packing
    flat : Tensor, shape (n,)
        The initial state, with its history.
    field : Field
    named : tuple of Tensor
        What gets a gradient by name: ``adjoint_params``, or the parameters of a module.
    searches : bool
        Whether other tensors that ``f`` reads are to be found.
    arg_tensors, arg_leaves : tuple of Tensor
        See `Sources`.
    checkpoints : None, int or "stages"
    offload : None, "host", "disk" or path
        As for `symadj.odeint`.
    budget_bytes : int or None
        The limit on memory.
    """

    packing: Packing
    flat: Tensor
    field: Field
    named: tuple[Tensor, ...]
    searches: bool
    arg_tensors: tuple[Tensor, ...]
    arg_leaves: tuple[Tensor, ...]
    checkpoints: Checkpoints
    offload: Place | None
    budget_bytes: int | None

    @staticmethod
    def of(
        func: VectorField,
        y0: State,
        args: tuple[Any, ...],
        adjoint_params: Iterable[Tensor] | None,
        checkpoints: Checkpoints,
        offload: Place | None,
        memory_budget: MemoryBudget = None,
    ) -> "Call":
        """Read the arguments that say what is solved, and what gets a gradient.

        Raises
        ------
        InvalidInputError, InvalidTypeError
            See `symadj.errors`.
        """
        budget_bytes = read_budget(memory_budget)
        if budget_bytes is not None and checkpoints is not None:
            raise InvalidInputError(
                f"checkpoints={checkpoints!r} and memory_budget={memory_budget!r} were given: one "
                f"says what is kept, and the other leaves that to symadj. Give one of them."
            )
        packing = Packing.of(y0)
        named = _named(func, adjoint_params)
        check_histories(named)
        if not isinstance(args, tuple):
            raise InvalidTypeError(
                f"args must be a tuple, what f is given beside t and y, and is a "
                f"{type(args).__name__}: pass args=(value,)."
            )
        leaves, spec = pytree.tree_flatten(args)
        arg_tensors: list[Tensor] = []
        if torch.is_grad_enabled() and not is_transformed():
            for place, leaf in enumerate(leaves):
                if isinstance(leaf, Tensor) and leaf.requires_grad:
                    arg_tensors.append(leaf)
                    leaves[place] = leaf.detach().requires_grad_()
        arg_leaves = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad]
        return Call(
            packing=packing,
            flat=packing.pack(y0),
            field=Field(func, packing, pytree.tree_unflatten(leaves, spec)),
            named=named,
            searches=adjoint_params is None,
            arg_tensors=tuple(arg_tensors),
            arg_leaves=tuple(arg_leaves) if arg_tensors else (),
            checkpoints=checkpoints,
            offload=offload,
            budget_bytes=budget_bytes,
        )

    def run(  # noqa: PLR0912, PLR0915 - what a solve is made of, in order
        self, reading: Reading, *, want_slopes: bool = False, is_dense: bool = False
    ) -> Run:
        """Make the solve.

        Parameters
        ----------
        reading : Reading
        want_slopes : bool
            Whether the slopes at the outputs are wanted whether or not their times have a gradient.
        is_dense : bool
            Whether the interpolant of every step is wanted.

        Returns
        -------
        Run

        Raises
        ------
        SolveError
            See `symadj.errors`.
        """
        ivp, field, stats = reading.ivp, self.field, Stats()
        if is_transformed() and not ivp.tableau.is_explicit:
            raise UnsupportedError(f"The method {ivp.tableau.name!r} {IMPLICIT_IS_REVERSE_ONLY}")
        if is_transformed() and (ivp.event is not None or is_dense):
            raise UnsupportedError(
                "An event's time and dense output have no forward mode, and no torch.func "
                "transforms. Use reverse mode (backward, torch.autograd.grad), or give the output "
                "times by t."
            )
        tracked = torch.is_grad_enabled() and not is_transformed()
        wants_time = tracked and (reading.times.requires_grad or reading.knots.requires_grad)
        in_reach = tensors_in_reach(field.func) if tracked and self.searches else []
        captured = CapturedTensors((*self.named, *self.arg_leaves), in_reach)
        if tracked and self.searches:
            field.inspector = captured
        options = reading.options
        schedule = Schedule.of(
            self.checkpoints, self.offload, options["graphs"], options["snapshot_dtype"]
        )
        costs: Costs | None = None
        if self.budget_bytes is not None and not is_transformed():
            wanted = Differentiated((*self.named, *self.arg_leaves), self.searches, wants_time)
            with refusing_sharded(BUDGET_IS_MEASURED):
                costs = costs_of(
                    reading, self.flat.detach(), wanted if tracked else None, is_dense=is_dense
                )
        budget_bytes, plan = self.budget_bytes or 0, None
        keeps_stages = tracked and schedule.keeps_stages
        per_step = 1
        if keeps_stages or costs is not None:  # of an explicit method the first is the state itself
            per_step = ivp.tableau.num_evaluations + (0 if ivp.tableau.is_explicit else 1)
        ambient = Ambient.now(self.flat.device)
        carried = CarriedState(self.flat.device, _buffers(field.func, reading.options))
        recorder, sharded = None, Sharded()
        agreement = ivp.step_sizes.agreement if isinstance(ivp.step_sizes, ErrorControl) else None
        if tracked or is_transformed():
            recorder = Recorder(carried, always=bool(carried.buffers))
        while True:
            snapshots = Snapshots(per_step)
            stored: StoredStates | None = None
            planned: PlannedStates | None = None
            if tracked and costs is not None:
                stored = planned = PlannedStates(
                    budget_bytes, costs, schedule, per_step, self.flat.detach(), _num_steps(ivp)
                )
                keeps_stages = planned.want_stages
            elif tracked and schedule.is_stored:
                stored = StoredStates(schedule, per_step, self.flat, _num_steps(ivp))
            field.before = recorder
            with ExitStack() as stack:
                stack.enter_context(torch.no_grad())
                stack.enter_context(ambient.in_force())
                if agreement is not None:
                    stack.enter_context(agreement.one_solve())
                stack.enter_context(sharded.watched(is_handed_over=tracked))
                if not ivp.tableau.is_explicit:
                    stack.enter_context(refusing_sharded(NEWTON_DIFFERENTIATES))
                stack.callback(setattr, field, "before", None)
                if reading.options["progress"]:
                    ivp.observer.bar = stack.enter_context(progress_bar(ivp.times))
                if not ivp.tableau.is_explicit:
                    _look_at_start(ivp, self.flat.detach(), carried)
                solved = integrate(
                    ivp,
                    self.flat if is_transformed() else self.flat.detach(),
                    stats,
                    keep_step=(stored or snapshots).keep if tracked else None,
                    want_stages=keeps_stages,
                    want_output_slopes=want_slopes or (wants_time and not reading.pinned),
                    want_polynomials=is_dense,
                    recorder=recorder,
                )
            is_complete = recorder is None or recorder.is_complete()
            if agreement is not None:
                is_complete = not agreement.any_of(not is_complete)
            if recorder is None or is_complete:
                break
            # f drew random numbers, but not at first, when it was looked at: once more from there.
            carried.restore(recorder.start)
            recorder = Recorder(carried, always=True)
            stats, field.nfe = Stats(), 0
        if is_dense:  # the outputs are asked for later
            sharded.free()
        if recorder is not None and not recorder.is_needed:
            solved = replace(solved, steps=[step._replace(carried=()) for step in solved.steps])
        stats.nfe_forward = field.nfe
        if stored is not None and stored.failure is not None:
            stored.failure.ys = solved.ys if solved.ys is None else self.packing.unpack(solved.ys)
            raise stored.failure
        if planned is not None:
            plan = planned.settle(solved.steps, uses_end_slope=ivp.interpolant.uses_end_slope)
            schedule = planned.schedule
        elif costs is not None:
            plan = plan_without_gradient(budget_bytes, costs, len(solved.steps))
        params = (*self.named, *captured.found)
        known = {id(param) for param in params}
        gathered = [param for param in sharded.params.values() if param.requires_grad]
        params = (*params, *(param for param in gathered if id(param) not in known))
        check_histories(params)
        kept = list(snapshots.tensors)
        if tracked and schedule.capacity is None:
            kept.append(solved.y_end)
        stats.snapshot_bytes = sum(state.nbytes for state in kept) + sum(
            state.nbytes for step in solved.steps for states in step.carried for state in states
        )
        stats.num_snapshots = len(snapshots.tensors)
        if stored is not None:
            stats.snapshot_bytes += stored.nbytes
            stats.num_snapshots = stored.most
        sources = Sources(
            params=params,
            candidates=candidates(
                (tensor for tensor in in_reach if id(tensor) not in sharded.shards),
                (*params, *self.arg_tensors, *self.arg_leaves),
            ),
            arg_tensors=self.arg_tensors,
            arg_leaves=self.arg_leaves,
            is_complete=self.searches,
        )
        return Run(
            reading=reading,
            flat=self.flat,
            solved=solved,
            snapshots=snapshots,
            stored=stored,
            schedule=schedule,
            plan=plan,
            stats=stats,
            sources=sources,
            carried=carried,
            ambient=ambient,
            sharded=sharded,
        )


def _look_at_start(ivp: Integration, y0: Tensor, carried: CarriedState) -> None:
    """Evaluate ``f`` once before an implicit method does, which cannot solve for what varies.

    An inspector is done then, too: Newton's method wants the graphs of its evaluations for itself.
    """
    found = carried.generators()
    ivp.evaluate_at_start(y0)
    if carried.buffers or not carried.same_generators(found):
        raise UnsupportedError(
            f"f draws random numbers, or its buffers are to be restored, and the method "
            f"{ivp.tableau.name!r} is implicit: the equations of its stages then have no "
            f"solution. Take an explicit method, or f in evaluation mode."
        )


def _num_steps(ivp: Integration) -> int | None:
    """Return how many steps there will be, if that is known before."""
    return len(ivp.step_sizes.ends) if isinstance(ivp.step_sizes, FixedGrid) else None


def _named(func: VectorField, adjoint_params: Iterable[Tensor] | None) -> tuple[Tensor, ...]:
    """Return what gets a gradient beside state and time, as far as the caller named it."""
    if adjoint_params is not None:
        given = tuple(adjoint_params)
        for param in given:
            if not isinstance(param, Tensor):
                raise InvalidTypeError(
                    f"adjoint_params holds a {type(param).__name__}. Allowed are tensors: pass "
                    f"module.parameters(), or the tensors themselves."
                )
        if sharded_parameters(func) & {id(param) for param in given}:
            raise UnsupportedError(
                "adjoint_params holds parameters that FSDP2 shards: f reads others in their place, "
                "gathered. Leave adjoint_params out, and they are found."
            )
    elif isinstance(func, nn.Module):
        sharded = sharded_parameters(func)  # f reads others in their place, gathered
        given = tuple(param for param in func.parameters() if id(param) not in sharded)
    else:
        given = ()
    return tuple({id(param): param for param in given if param.requires_grad}.values())


def _buffers(func: VectorField, options: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Return the buffers that are to be restored."""
    if not options["restore_buffers"]:
        return ()
    owner = getattr(func, "__self__", func)
    if not isinstance(owner, nn.Module):
        raise InvalidInputError(
            f"options['restore_buffers'] needs f to be an nn.Module, or a method of one, and f is "
            f"a {type(func).__name__}: pass the module whose buffers are to be restored."
        )
    return tuple(owner.buffers())
