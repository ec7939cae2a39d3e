"""A solve that was made, and its outputs attached to autograd."""

from dataclasses import dataclass

import torch
from torch import Tensor

from symadj.adjoint.keeping import Keeping
from symadj.adjoint.plan import Plan
from symadj.autograd import Record, SymplecticAdjoint
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState
from symadj.forward.solve import Solved
from symadj.forward.trajectory import Stats, StepGrid
from symadj.forward.unrolled import unroll
from symadj.parallel import Sharded
from symadj.reading import Reading
from symadj.sources import Sources


@dataclass(frozen=True, slots=True)
class Run:
    """A solve that was made.

    Attributes
    ----------
    reading : Reading
    flat : Tensor, shape (n,)
        The initial state, with its history.
    solved : Solved
    keeping : Keeping
        What is kept for the backward pass.
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
    keeping: Keeping
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
        reading, ivp, keeping = self.reading, self.reading.ivp, self.keeping
        record = Record(
            ivp=ivp,
            steps=steps,
            per_step=keeping.snapshots.per_step,
            has_tables=keeping.snapshots.are_tables,
            stored=keeping.stored,
            activations=None if keeping.activations is None else keeping.activations.handed_over(),
            chain=None if keeping.chain is None else keeping.chain.handed_over(),
            graphs=keeping.schedule.graphs,
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
        y_end = None if keeping.schedule.capacity is not None else self.solved.y_end
        internals = (output_slopes, y_end, *keeping.snapshots.tensors)
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
