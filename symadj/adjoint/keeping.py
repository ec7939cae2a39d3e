"""What one attempt at a solve keeps for the backward pass, whichever way was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from symadj.adjoint.activations import Activations, GraphLog
from symadj.adjoint.chained import Chain
from symadj.adjoint.costs import Costs
from symadj.adjoint.evaluation import Evaluation
from symadj.adjoint.plan import Plan
from symadj.adjoint.planned import PlannedStates, plan_without_gradient
from symadj.adjoint.schedule import Schedule
from symadj.adjoint.snapshots import Snapshots
from symadj.adjoint.stored import StoredStates
from symadj.forward.controller import FixedGrid
from symadj.forward.differentiable import DifferentiableSteps
from symadj.forward.solve import Integration, Solved
from symadj.forward.trajectory import KeepStep, KeepTable, Stats, Step


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on memory, and what everything takes.

    Attributes
    ----------
    num_bytes : int
    costs : Costs
    """

    num_bytes: int
    costs: Costs


class Keeping:
    """The states that a solve keeps: with autograd, in a store of their own, or none.

    Parameters
    ----------
    ivp : Integration
    schedule : Schedule
        What was asked for.
    budget : Budget or None
        A limit within which the schedule is to be chosen.
    like : Tensor, shape (n,)
        The initial state.
    is_wanted : bool
        Whether there will be a backward pass.
    is_dense : bool
        Whether there may be several.
    want_time : bool
        Whether gradients with respect to the times of the steps may be wanted.
    links : DifferentiableSteps or None
        Compiled steps that keep what their transposes need.

    Attributes
    ----------
    schedule : Schedule
        As it was asked for, then as it was chosen.
    snapshots : Snapshots
        What autograd keeps.
    stored : StoredStates or None
        What is kept in a store.
    activations : Activations or None
        The graphs of evaluations, where they are kept.
    chain : Chain or None
        What compiled steps have kept.
    want_stages : bool
        Whether stage states are to be offered.
    """

    def __init__(
        self,
        ivp: Integration,
        schedule: Schedule,
        budget: Budget | None,
        like: Tensor,
        *,
        is_wanted: bool,
        is_dense: bool = False,
        want_time: bool = False,
        links: DifferentiableSteps | None = None,
    ) -> None:
        self.schedule, self._budget, self._is_wanted = schedule, budget, is_wanted
        self._uses_end_slope = ivp.interpolant.uses_end_slope
        self.want_stages = is_wanted and schedule.keeps_stages
        self.activations: Activations | None = None
        self.links, self.chain = links, Chain() if is_wanted and links is not None else None
        per_step = 1
        if self.want_stages or budget is not None:
            # Of an explicit method the first stage state is the state itself.
            per_step = ivp.tableau.num_evaluations + (not ivp.tableau.is_explicit)
        self.snapshots = Snapshots(per_step)
        self.stored: StoredStates | None = None
        self._planned: PlannedStates | None = None
        sizes = ivp.step_sizes
        num_steps = len(sizes.ends) if isinstance(sizes, FixedGrid) else None
        if is_wanted and budget is not None:
            self._planned = PlannedStates(
                budget.num_bytes, budget.costs, schedule, per_step, like, num_steps
            )
            self.stored, self.want_stages = self._planned, self._planned.want_stages
            schedule = self._planned.schedule
        elif is_wanted and schedule.is_stored:
            self.stored = StoredStates(schedule, per_step, like, num_steps)
        if is_wanted and schedule.keeps_graphs and links is None:
            log = GraphLog(want_time=want_time)
            self.activations = Activations(ivp.tableau.num_evaluations, log, is_shared=is_dense)

    @property
    def keep_step(self) -> KeepStep | None:
        """What is to be told of each step."""
        return self._keep if self._is_wanted else None

    @property
    def keep_table(self) -> KeepTable | None:
        """What may be told of many steps at once; None where each is to be looked at."""
        is_plain = self.stored is None and self.activations is None and self.links is None
        return self.snapshots.keep_table if self._is_wanted and is_plain else None

    def _keep(
        self, step: Step, stage_states: Sequence[Tensor], evaluations: Sequence[Evaluation]
    ) -> None:
        if self.chain is not None and self.links is not None:
            kept = self.links.take()
            if kept is None:  # there are no such graphs, as the first step has shown
                self.chain = None
            else:
                self.chain.keep(kept)
                self.snapshots.per_step, stage_states = 1, stage_states[:1]
        (self.stored or self.snapshots).keep(step, stage_states)
        given_up = self._planned is not None and not self._planned.schedule.keeps_graphs
        if self.activations is not None and given_up:
            self.activations.give_up()
            self.activations = None
        if self.activations is not None:
            self.activations.keep(step, evaluations)

    def settle(self, solved: Solved) -> Plan | None:
        """Choose for the backward pass, now that the number of steps is known.

        Raises
        ------
        MemoryBudgetError
            If nothing fits.
        """
        if self._planned is not None:
            plan = self._planned.settle(solved.steps, uses_end_slope=self._uses_end_slope)
            self.schedule = self._planned.schedule
            if self.schedule.keeps_graphs:  # of the states those at the starts of steps will do
                self.snapshots = Snapshots(1, self._planned.give_away())
                self.stored = None
            return plan
        if self._budget is not None:
            budget = self._budget
            return plan_without_gradient(budget.num_bytes, budget.costs, len(solved.steps))
        return None

    def count(self, stats: Stats, solved: Solved) -> None:
        """Enter into the statistics what is kept."""
        stats.num_snapshots = self.snapshots.num_states
        has_end = self._is_wanted and self.schedule.capacity is None
        stats.snapshot_bytes = (stats.num_snapshots + has_end) * solved.y_end.nbytes + sum(
            state.nbytes for states in solved.steps.carried for state in states
        )
        if self.stored is not None:
            stats.snapshot_bytes += self.stored.nbytes
            stats.num_snapshots = self.stored.most
