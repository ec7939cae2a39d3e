"""One call: what is solved and what gets a gradient, read from the arguments; and the solve."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from symadj.adjoint.activations import GraphLog
from symadj.adjoint.budget import MemoryBudget, read_budget
from symadj.adjoint.costs import costs_of
from symadj.adjoint.footprint import Differentiated
from symadj.adjoint.keeping import Budget, Keeping
from symadj.adjoint.schedule import Checkpoints, Schedule
from symadj.adjoint.storage import Place
from symadj.captured import check_histories
from symadj.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from symadj.forward.agreement import Agreement
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState, Recorder
from symadj.forward.controller import ErrorControl
from symadj.forward.differentiable import DifferentiableSteps
from symadj.forward.field import Field
from symadj.forward.progress import progress_bar
from symadj.forward.solve import Integration, Solved, integrate
from symadj.forward.steplog import StepLog
from symadj.forward.trajectory import Stats
from symadj.forward.transforms import is_transformed
from symadj.forward.unrolled import IMPLICIT_IS_REVERSE_ONLY
from symadj.parallel import Sharded, refusing_sharded
from symadj.reading import Reading
from symadj.run import Run
from symadj.sources import Search, named_tensors
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


IMPLICIT_KEEPS_NO_GRAPHS = (
    "is implicit, and evaluates f many times to solve for a stage that depends on none of these "
    'evaluations: there is no graph to keep. Take checkpoints="stages", from whose states nothing '
    "is solved for again, or an explicit method."
)

GRAPHS_ARE_KEPT = (
    'checkpoints="activations" evaluates f with a graph throughout the solve, which FSDP2 would '
    'prepare for the model\'s backward pass each time. Take checkpoints="stages", or shard the '
    "module whose forward pass calls symadj.odeint and not f by itself."
)


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
    checkpoints : None, int, "stages" or "activations"
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
        named = named_tensors(func, adjoint_params)
        check_histories(named)
        if not isinstance(args, tuple):
            raise InvalidTypeError(
                f"args must be a tuple, what f is given beside t and y, and is a "
                f"{type(args).__name__}: pass args=(value,)."
            )
        args, arg_tensors, arg_leaves = _with_leaves(args) if args else ((), (), ())
        return Call(
            packing=packing,
            flat=packing.pack(y0),
            field=Field(func, packing, args),
            named=named,
            searches=adjoint_params is None,
            arg_tensors=arg_tensors,
            arg_leaves=arg_leaves,
            checkpoints=checkpoints,
            offload=offload,
            budget_bytes=budget_bytes,
        )

    def run(self, reading: Reading, *, want_slopes: bool = False, is_dense: bool = False) -> Run:
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
        ivp = reading.ivp
        _refuse_transforms(ivp, is_dense=is_dense)
        tracked = torch.is_grad_enabled() and not is_transformed()
        wants_time = tracked and (reading.times.requires_grad or reading.knots.requires_grad)
        known = (*self.named, *self.arg_leaves)
        options = reading.options
        schedule = Schedule.of(
            self.checkpoints, self.offload, options["graphs"], options["snapshot_dtype"]
        )
        links: DifferentiableSteps | None = None
        if schedule.keeps_graphs and options["compile"]:
            schedule = replace(schedule, keeps_graphs=False, keeps_stages=True)
            if tracked and not (wants_time or is_dense):
                links = DifferentiableSteps.of(ivp)
        budget: Budget | None = None
        if self.budget_bytes is not None and options["compile"]:
            raise InvalidInputError(
                f"memory_budget and options['compile'] = {options['compile']!r} were given: what a "
                f"graph takes is the compiler's to say, and not measured. Give one of them."
            )
        if self.budget_bytes is not None and not is_transformed():
            wanted = Differentiated(known, self.searches, wants_time) if tracked else None
            with refusing_sharded(BUDGET_IS_MEASURED):
                costs = costs_of(reading, self.flat.detach(), wanted, is_dense=is_dense)
            budget = Budget(self.budget_bytes, costs)
        attempt = Attempt(
            reading=reading,
            flat=self.flat,
            tracked=tracked,
            want_slopes=want_slopes or (wants_time and not reading.pinned),
            is_dense=is_dense,
            ambient=Ambient.now(self.flat.device),
            carried=CarriedState(self.flat.device, _buffers(self.field.func, options)),
            sharded=Sharded(),
        )
        if schedule.keeps_graphs and not ivp.tableau.is_explicit:
            raise UnsupportedError(f"The method {ivp.tableau.name!r} {IMPLICIT_KEEPS_NO_GRAPHS}")
        search = Search(self.field, known, is_wanted=tracked and self.searches)
        make_keeping = lambda: Keeping(
            ivp,
            schedule,
            budget,
            self.flat.detach(),
            is_wanted=tracked,
            is_dense=is_dense,
            want_time=reading.knots.requires_grad,
            links=links,
        )
        with torch.no_grad(), attempt.ambient.in_force():
            is_foreseen = links is None and attempt.is_foreseen()
            if not is_foreseen:
                search.begin()
            solved, stats, keeping = attempt.until_complete(make_keeping, is_foreseen=is_foreseen)
        if keeping.stored is not None and keeping.stored.failure is not None:
            failure = keeping.stored.failure
            failure.ys = solved.ys if solved.ys is None else self.packing.unpack(solved.ys)
            raise failure
        plan = keeping.settle(solved)
        if ivp.compiled is not None:
            search.by_graph(ivp.compiled)
        sources = search.sources(
            self.named,
            self.arg_tensors,
            self.arg_leaves,
            attempt.sharded,
            is_complete=self.searches,
        )
        keeping.count(stats, solved)
        return Run(
            reading=reading,
            flat=self.flat,
            solved=solved,
            keeping=keeping,
            plan=plan,
            stats=stats,
            sources=sources,
            carried=attempt.carried,
            ambient=attempt.ambient,
            sharded=attempt.sharded,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """All that surrounds the time loop of one solve, without gradients, its ambient in force.

    Attributes
    ----------
    reading : Reading
    flat : Tensor, shape (n,)
        The initial state, with its history.
    tracked : bool
        Whether there may be a backward pass.
    want_slopes : bool
        Whether the slopes at the outputs are wanted.
    is_dense : bool
        Whether the interpolant of every step is wanted.
    ambient : Ambient
    carried : CarriedState
    sharded : Sharded
    """

    reading: Reading
    flat: Tensor
    tracked: bool
    want_slopes: bool
    is_dense: bool
    ambient: Ambient
    carried: CarriedState
    sharded: Sharded

    def is_foreseen(self) -> bool:
        """Return whether graphs will take the steps, of which it is known what they read.

        They are free of side effects then, and draw no random numbers: nobody has to look.
        """
        ivp = self.reading.ivp
        if ivp.compiled is None or len(ivp.times) == 1 or self.carried.buffers:
            return False
        if self._agreement is not None:  # the others may have to look, and all of them to go on
            return False
        return ivp.compiled.foresees(self.flat.detach())

    def until_complete(
        self, make_keeping: Callable[[], Keeping], *, is_foreseen: bool
    ) -> tuple[Solved, Stats, Keeping]:
        """Solve; once more if ``f`` turns out to draw random numbers after it was looked at."""
        field, recorder = self.reading.ivp.field, None
        if (self.tracked or is_transformed()) and not is_foreseen:
            recorder = Recorder(self.carried, always=bool(self.carried.buffers))
        while True:
            keeping, stats = make_keeping(), Stats()
            solved = self._solve(keeping, stats, recorder)
            is_complete = recorder is None or recorder.is_complete()
            if self._agreement is not None:
                is_complete = not self._agreement.any_of(not is_complete)
            if recorder is None or is_complete:
                break
            self.carried.restore(recorder.start)
            if self.reading.ivp.compiled is not None:
                self.reading.ivp.compiled.calls.give_up(
                    "f draws random numbers, which a graph would not draw again"
                )
            recorder = Recorder(self.carried, always=True)
            field.nfe = 0
        if self.is_dense:  # the outputs are asked for later
            self.sharded.free()
        if recorder is not None and not recorder.is_needed and any(solved.steps.carried):
            bare = StepLog([step._replace(carried=()) for step in solved.steps])
            solved = replace(solved, steps=bare)
        stats.nfe_forward = field.nfe
        return solved, stats, keeping

    @property
    def _agreement(self) -> Agreement | None:
        sizes = self.reading.ivp.step_sizes
        return sizes.agreement if isinstance(sizes, ErrorControl) else None

    def _solve(self, keeping: Keeping, stats: Stats, recorder: Recorder | None) -> Solved:
        ivp = self.reading.ivp
        start = self.flat.detach()
        ivp.field.before = recorder
        with ExitStack() as stack:
            if self._agreement is not None:
                stack.enter_context(self._agreement.one_solve())
            unwatched = stack.enter_context(self.sharded.watched(is_handed_over=self.tracked))
            stack.callback(ivp.field.forget)
            if self.reading.options["progress"]:
                ivp.observer.bar = stack.enter_context(progress_bar(ivp.times))
            if ivp.compiled is not None:
                stack.callback(ivp.compiled.forget)
                ivp.compiled.calls.unwatched, ivp.compiled.keeping = unwatched, keeping.links
            graphs: GraphLog | None = None
            if keeping.activations is not None:
                stack.enter_context(refusing_sharded(GRAPHS_ARE_KEPT))
                graphs = ivp.field.maker = keeping.activations.log
            if not ivp.tableau.is_explicit:
                stack.enter_context(refusing_sharded(NEWTON_DIFFERENTIATES))
                _look_at_start(ivp, start, self.carried)
            return integrate(
                ivp,
                self.flat if is_transformed() else start,
                stats,
                keep_step=keeping.keep_step,
                keep_table=keeping.keep_table,
                want_stages=keeping.want_stages,
                want_output_slopes=self.want_slopes,
                want_polynomials=self.is_dense,
                recorder=recorder,
                evaluations=graphs,
            )


def _with_leaves(
    args: tuple[Any, ...],
) -> tuple[tuple[Any, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return what ``f`` is to be given beside time and state.

    Returns
    -------
    args : tuple
        The caller's, with the tensors that may get a gradient cut from their history.
    arg_tensors, arg_leaves : tuple of Tensor
        These, as they were given and as they are cut; none where there is no backward pass.
    """
    leaves, spec = pytree.tree_flatten(args)
    arg_tensors: list[Tensor] = []
    if torch.is_grad_enabled() and not is_transformed():
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor) and leaf.requires_grad:
                arg_tensors.append(leaf)
                leaves[place] = leaf.detach().requires_grad_()
    arg_leaves = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad]
    return (
        pytree.tree_unflatten(leaves, spec),
        tuple(arg_tensors),
        tuple(arg_leaves) if arg_tensors else (),
    )


def _refuse_transforms(ivp: Integration, *, is_dense: bool) -> None:
    """Raise for what has no derivative under a transform."""
    if not is_transformed():
        return
    if not ivp.tableau.is_explicit:
        raise UnsupportedError(f"The method {ivp.tableau.name!r} {IMPLICIT_IS_REVERSE_ONLY}")
    if ivp.event is not None or is_dense:
        raise UnsupportedError(
            "An event's time and dense output have no forward mode, and no torch.func "
            "transforms. Use reverse mode (backward, torch.autograd.grad), or give the output "
            "times by t."
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
