"""Solves made again as they were made before: by loops of C++, without a new look at the arguments.

Of a small network the time goes into reading what is asked for, and into getting ready for what
does not happen. Where C++ has made a whole solve, what led there is kept, with ``f`` and as long as
that. A call that asks for the same goes straight to the loops, once the guards of ``f`` hold; where
anything is not as it was, nothing was done yet, and the call is read as any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from symadj.adjoint.keeping import Keeping
from symadj.adjoint.schedule import Schedule
from symadj.captured import check_histories
from symadj.forward.ambient import Ambient
from symadj.forward.calls import is_watched
from symadj.forward.carried import CarriedState
from symadj.forward.compiled import CompiledSteps
from symadj.forward.controller import ErrorControl
from symadj.forward.field import Field
from symadj.forward.graphs import Graphs, graphs_of
from symadj.forward.interpolation import Interpolant
from symadj.forward.nativeruns import UNCHOSEN, Goals, may_choose
from symadj.forward.observer import Observer
from symadj.forward.runs import StepRun
from symadj.forward.solve import Integration, Solved
from symadj.forward.steplog import StepLog
from symadj.forward.trajectory import Stats
from symadj.options import PLAIN_TYPES
from symadj.parallel import Sharded
from symadj.reading import Reading
from symadj.run import Run
from symadj.sources import Search, named_tensors
from symadj.state import Packing
from symadj.tableaus import ButcherTableau
from symadj.types import VectorField

MOST_KEPT = 16
"""Solves of one ``f`` that are kept in mind: those with the latest arguments."""

MOST_TIMES = 1000
"""Of more outputs it is they that take the time."""

BACKEND = "inductor"
"""Of the others' graphs there are no loops in C++."""

CPU = torch.device("cpu")

Signature: TypeAlias = tuple[Any, ...]
"""All that a solve depends on, beside ``f`` and the numbers of the state."""


def signature_of(
    y0: Any,
    t: Any,
    rtol: Any,
    atol: Any,
    method: str | None,
    options: Mapping[str, Any] | None,
    checkpoints: Any,
) -> Signature | None:
    """Return what tells a solve from others, or None for one that C++ cannot make."""
    if type(options) is not dict or options.get("compile") is not True or is_watched():
        return None
    values = (rtol, atol, method, checkpoints, *options.values())
    if type(y0) is not Tensor or type(t) is not Tensor or t.requires_grad or y0.is_inference():
        return None
    if not PLAIN_TYPES.issuperset(map(type, values)) or t.ndim != 1 or len(t) > MOST_TIMES:
        return None
    if not y0.device == t.device == CPU:
        return None
    # With their types, as 1 and True are equal.
    names, kinds = tuple(options), tuple(map(type, values))
    form = (y0.shape, y0.dtype, t.dtype, torch.is_grad_enabled())
    return (values, names, kinds, form, tuple(t.tolist()))


@dataclass(frozen=True, slots=True)
class Repeat:
    """What is left of a solve to make it again.

    Attributes
    ----------
    packing, tableau, interpolant, control, times, options
        See `Integration` and `Reading`.
    schedule : Schedule
    ambient : Ambient
    is_tracked : bool
        Whether there may be a backward pass.
    """

    packing: Packing
    tableau: ButcherTableau
    interpolant: Interpolant
    control: ErrorControl
    times: tuple[float, ...]
    options: Mapping[str, Any]
    schedule: Schedule
    ambient: Ambient
    is_tracked: bool

    def run(self, func: VectorField, y0: Tensor, t: Tensor, graphs: Graphs) -> Run | None:
        """Make the solve; None, and nothing done, if anything is not as it was."""
        observer = Observer(func, self.packing, is_adaptive=True)
        is_distributed = dist.is_available() and dist.is_initialized()
        if self.ambient.differs or observer.calls or is_distributed:
            return None
        field = Field(func, self.packing)
        compiled = CompiledSteps(field, self.tableau, self.control, None, graphs, is_alone=True)
        ivp = Integration(
            field=field,
            tableau=self.tableau,
            interpolant=self.interpolant,
            step_sizes=self.control,
            times=self.times,
            event=None,
            time_dtype=None,
            perturb=False,
            observer=observer,
            compiled=compiled,
        )
        named, flat = named_tensors(func, None), self.packing.pack(y0)
        check_histories(named)
        keeping = Keeping(ivp, self.schedule, None, flat, is_wanted=self.is_tracked)
        stats = Stats()
        with torch.no_grad():
            try:
                solved = self._solve(ivp, compiled, flat.detach(), stats, keeping)
            finally:
                compiled.forget()
        if solved is None:
            return None
        search = Search(field, named, is_wanted=self.is_tracked)
        search.by_graph(compiled)
        stats.nfe_forward = field.nfe
        keeping.count(stats, solved)
        sharded = Sharded()
        return Run(
            reading=Reading(ivp, t, t[:1], pinned=False, options=self.options),
            flat=flat,
            solved=solved,
            keeping=keeping,
            plan=None,
            stats=stats,
            sources=search.sources(named, (), (), sharded, is_complete=True),
            carried=CarriedState(flat.device),
            ambient=self.ambient,
            sharded=sharded,
        )

    def _solve(
        self, ivp: Integration, compiled: CompiledSteps, y0: Tensor, stats: Stats, keeping: Keeping
    ) -> Solved | None:
        if not (compiled.foresees(y0) and compiled.is_light_from(y0, self.times[0])):
            return None
        ys = y0.new_empty(len(self.times), y0.numel())  # C++ writes all of it
        goals = Goals(self.times, ys, self.interpolant.rows)
        run = StepRun(
            *(self.control, compiled, y0, -1, goals, stats),
            *(keeping.keep_step, keeping.keep_table, keeping.want_stages),
        )
        ivp.field.nfe += 1  # at the start
        first_step, steps = self.control.first_step, StepLog()
        y_end = run.take_all(y0, UNCHOSEN if first_step is None else first_step, steps)
        return None if y_end is None else Solved(self.times, ys, steps, y_end, None, None)


def repeated(func: VectorField, y0: Tensor, t: Tensor, signature: Signature) -> Run | None:
    """Make a solve again; None if it was not made before, or not by C++ alone."""
    graphs = graphs_of(func, BACKEND)
    known = graphs.solves.get(signature)
    return None if known is None else known.run(func, y0, t, graphs)


def remember(func: VectorField, signature: Signature, run: Run) -> None:
    """Keep in mind how a solve was made, if it was made by C++ alone."""
    reading, keeping = run.reading, run.keeping
    ivp, control = reading.ivp, reading.ivp.step_sizes
    is_by_graph = ivp.compiled is not None and ivp.compiled.calls.is_foreseen
    if not is_by_graph or run.solved.steps.notes is None or not isinstance(control, ErrorControl):
        return
    if keeping.stored is not None or keeping.activations is not None or keeping.links is not None:
        return
    if control.first_step is None and not may_choose(control):
        return
    solves = graphs_of(func, BACKEND).solves
    while len(solves) >= MOST_KEPT:
        solves.pop(next(iter(solves)))
    solves[signature] = Repeat(
        packing=ivp.field.packing,
        tableau=ivp.tableau,
        interpolant=ivp.interpolant,
        control=control,
        times=ivp.times,
        options=reading.options,
        schedule=keeping.schedule,
        ambient=run.ambient,
        is_tracked=torch.is_grad_enabled(),
    )
