"""States kept within a limit on memory: as many as fit, which is known as the solve goes on.

A solve begins with the fastest plan and goes down to the next as soon as one does not fit any more:
the graph of every evaluation; every stage state; every state; every state, but elsewhere, if that
is allowed, otherwise as many as fit. As later plans keep nothing that those before did not, none
has to begin anew.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from symadj.adjoint.binomial import offline_positions, optimal_replays
from symadj.adjoint.budget import show_bytes
from symadj.adjoint.costs import Costs
from symadj.adjoint.plan import Alternative, Plan
from symadj.adjoint.reversal import count_replays, reverse_schedule
from symadj.adjoint.schedule import Schedule
from symadj.adjoint.storage import make_store
from symadj.adjoint.stored import StoredStates
from symadj.adjoint.thinning import OnlineThinning
from symadj.errors import MemoryBudgetError
from symadj.forward.trajectory import Step, StepGrid


class PlannedStates(StoredStates):
    """The states of one solve, kept by the fastest plan that fits.

    Parameters
    ----------
    budget_bytes : int
        The limit, in bytes.
    costs : Costs
    schedule : Schedule
        Where states may go if they do not fit, and in which precision they are kept.
    per_step : int
        States of each step that are offered where stage states are kept.
    like : Tensor, shape (n,)
        A state.
    num_steps : int or None
        How many steps there will be, if that is known before.
    """

    def __init__(
        self,
        budget_bytes: int,
        costs: Costs,
        schedule: Schedule,
        per_step: int,
        like: Tensor,
        num_steps: int | None,
    ) -> None:
        self._budget, self._costs = budget_bytes, costs
        self._refuge, self._like = schedule.place, like
        self._expected, self._is_open = num_steps, num_steps is None
        self._carried = self._carried_each = self._num_counted = self._highest = 0
        self._is_short = self._is_settled = self.want_stages = False
        self._full = replace(schedule, place="device", capacity=None, keeps_stages=True)
        # What autograd saves is exact: it is not for those who want states in lower precision.
        fastest = replace(self._full, keeps_graphs=schedule.dtype is None)
        self._fastest = fastest
        super().__init__(fastest, per_step, like, num_steps)
        while not self._fits(1):
            self._retreat(1)
        self.want_stages = self._schedule.keeps_stages

    @property
    def schedule(self) -> Schedule:
        """What is kept, as it stands."""
        return self._schedule

    def keep(self, step: Step, stage_states: Sequence[Tensor]) -> None:
        """Keep the states of the next step, or some, or none; first make room where that lacks."""
        if self._is_settled:
            super().keep(step, stage_states)
            return
        self._count_carried(step)
        following = self._num_steps + 1
        while not self._fits(following):
            self._retreat(following)
        if self._is_short:
            self._num_steps += 1
            return
        self._highest = max(self._highest, self._going_forward(following))
        super().keep(step, stage_states if self._schedule.keeps_stages else stage_states[:1])

    def settle(self, steps: StepGrid, *, uses_end_slope: bool) -> Plan:
        """Choose how many graphs are alive at once, now that the number of steps is known.

        Parameters
        ----------
        steps : sequence of Step
        uses_end_slope : bool
            Whether outputs inside a step hang on the slope at its end.

        Raises
        ------
        MemoryBudgetError
            If no plan fits.
        """
        count, s = len(steps), self._costs.num_stages
        self._is_settled, self._expected = True, count
        if self._is_short:
            raise self._error(count)
        if not self._schedule.keeps_stages and self._schedule.capacity is None:
            more = replace(self._schedule, graphs=2)
            while more.graphs <= s and self._peak(count, more) <= self._budget:
                self._schedule, more = more, replace(more, graphs=more.graphs + 1)
        schedule = self._schedule
        replays = 0
        if schedule.capacity is not None:
            stored = self._store.indices
            replays = count_replays(reverse_schedule(count, stored, schedule.capacity))
        ends = _end_evaluations(steps) if uses_end_slope else (0, 0)
        chosen = self._way(schedule, count, replays, ends)
        # Before a plan was given up, more may have been kept than is in the end.
        chosen = replace(chosen, peak_bytes=max(chosen.peak_bytes, self._highest))
        states = replace(self._full, keeps_stages=False)
        others = [
            self._fastest,
            self._full,
            replace(states, graphs=s),
            states,
            replace(states, capacity=1),
        ]
        if self._may_leave:
            others.insert(4, replace(states, place=self._refuge))
        ways = [
            self._way(other, count, optimal_replays(count, 1) if other.capacity else 0, ends)
            for other in others
        ]
        footprint = self._costs.footprint
        return Plan(
            budget_bytes=self._budget,
            chosen=chosen,
            others=tuple(way for way in ways if way.name != chosen.name),
            num_steps=count,
            num_states=self._num_kept(count, schedule),
            graphs=schedule.graphs,
            nfe_measuring=footprint.nfe,
            graph_bytes=footprint.graph_bytes,
            vjp_bytes=footprint.vjp_bytes,
            state_bytes=self._costs.state_bytes,
        )

    def _way(
        self, schedule: Schedule, count: int, replays: int, ends: tuple[int, int]
    ) -> Alternative:
        """Say what a plan costs: so many steps replayed, and evaluations at ends of steps."""
        s = self._costs.num_stages
        if schedule.keeps_graphs:
            return Alternative(_name(schedule), self._peak(count, schedule), 0)
        each = s if schedule.keeps_stages else 2 * s - schedule.graphs
        evaluations = count * each + replays * s + ends[0]
        if schedule.capacity is not None:  # the state at the end is made again too
            evaluations += ends[1]
        return Alternative(_name(schedule), self._peak(count, schedule), evaluations)

    @property
    def _may_leave(self) -> bool:
        """Whether states may go to a place that is not on the device."""
        stays = self._refuge == "host" and self._like.device.type == "cpu"
        return self._refuge != "device" and not stays

    def _count_carried(self, step: Step) -> None:
        """Add what ``f`` carried in a step; its first is the end slope's of the step before."""
        carried = step.carried[1:] if step.shares_first_slope else step.carried
        self._carried_each = sum(
            part.nbytes + self._costs.object_bytes for each in carried for part in each
        )
        self._carried += self._carried_each
        self._num_counted += 1

    def _num_kept(self, count: int, schedule: Schedule) -> int:
        """Return how many states a plan keeps of so many steps."""
        if schedule.keeps_stages:
            return count * self._offered
        return count if schedule.capacity is None else min(count, schedule.capacity)

    def _fits(self, num_steps: int) -> bool:
        return self._is_short or self._peak(num_steps, self._schedule) <= self._budget

    def _peak(self, num_steps: int, schedule: Schedule) -> int:
        """Return the peak of solve and backward pass by a plan, in bytes.

        Of so many steps, or of those that there will be, if that is known.
        """
        count = max(num_steps, self._expected or 0)
        base = self._costs.base(
            schedule.graphs,
            is_replayed=not schedule.keeps_stages,
            want_stages=self._makes_stages(schedule),
        )
        costs, capacity = self._costs, schedule.capacity
        # Each step is evaluated going forward, replayed and transposed, and some are taken again.
        evaluated = 3 * count
        if capacity is None:
            # Going back, the one grows as the other is let go: either may be the most.
            held = max(
                self._held(count, schedule), costs.left_by_vjps(count) + self._each(schedule)
            )
        else:
            held = self._held(count, schedule) + costs.left_by_vjps(max(count - capacity, 0))
            evaluated += optimal_replays(count, capacity)
        return base + held + costs.left_by_evaluations(evaluated) + self._records(count)

    def _going_forward(self, num_steps: int) -> int:
        """Return the peak so far, after so many steps, in bytes."""
        base = self._costs.forward(want_stages=self._makes_stages(self._schedule))
        held = self._each(self._schedule) * self._num_kept(num_steps, self._schedule)
        held += self._graphs(num_steps, self._schedule)
        return base + held + self._costs.records(num_steps) + self._carried

    def _makes_stages(self, schedule: Schedule) -> bool:
        # If the number of steps is not known, stage states are made until the end.
        return self._is_open or self.want_stages or schedule.keeps_stages

    def _held(self, count: int, schedule: Schedule) -> int:
        """Return what is kept after so many steps, in bytes."""
        held = self._num_kept(count, schedule) * self._each(schedule)
        held += self._graphs(count, schedule)
        # Of those that leave the device some are on their way: two go, two come.
        return held if schedule.place == "device" else held + 4 * self._costs.state_bytes

    def _graphs(self, count: int, schedule: Schedule) -> int:
        """Return what the graphs of so many steps take, in bytes."""
        if not schedule.keeps_graphs:
            return 0
        # As long as the number of steps is not known, another one is tried beside those accepted.
        return self._costs.graphs_bytes(count + self._is_open, count)

    def _records(self, count: int) -> int:
        """Return what the steps themselves take, in bytes."""
        ahead = max(count - self._num_counted, 0)
        return self._costs.records(count) + self._carried + ahead * self._carried_each

    def _each(self, schedule: Schedule) -> int:
        """Return what a state takes that is kept, in bytes."""
        if schedule.place != "device":
            return self._costs.away_bytes
        each = self._costs.kept_bytes + self._costs.object_bytes
        may_give_way = schedule.capacity is not None or (
            self._is_open and not schedule.keeps_stages and not self._may_leave
        )
        return each + self._costs.choice_bytes if may_give_way else each

    def _retreat(self, num_steps: int) -> None:
        """Go down to the next plan."""
        schedule = self._schedule
        if schedule.keeps_graphs:  # their leaves are the stage states
            self._schedule = replace(schedule, keeps_graphs=False)
        elif schedule.keeps_stages:
            self._change(replace(schedule, keeps_stages=False))
        elif schedule.place == "device" and schedule.capacity is None and self._may_leave:
            self._change(replace(schedule, place=self._refuge))
        elif schedule.place != "device":
            self._give_up()
        else:
            # Records of steps grow on: leave room for some, so that this is not done at each step.
            ahead = num_steps if self._expected else num_steps + max(num_steps // 8, 16)
            capacity = self._capacity(ahead) or min(self._capacity(num_steps), 1)
            if capacity:
                self._change(replace(schedule, capacity=capacity))
            else:
                self._give_up()

    def _capacity(self, num_steps: int) -> int:
        """Return how many states fit beside the records of so many steps."""
        single = replace(self._schedule, capacity=1)
        left = self._budget - self._peak(num_steps, single)
        return max(left // self._each(single) + 1, 0)

    def _give_up(self) -> None:
        """Keep nothing: the solve goes on, to tell how much would have been enough."""
        self._is_short = True
        self._store.close()

    def _change(self, schedule: Schedule) -> None:
        """Keep what is kept by another schedule from here on."""
        old, stride, before = self._store, self._per_step, self._schedule
        held = [index // stride for index in old.indices if index % stride == 0]
        self._schedule = schedule
        self._per_step = self._offered if schedule.keeps_stages else 1
        wanted = self._places(schedule, before, held)
        self._store = make_store(schedule.place, self._like, schedule.dtype)
        for index in old.indices:
            if index % stride == 0 and index // stride in wanted:
                self._store.put(index // stride, old.get(index), private=True)
            old.drop(index)
        old.close()

    def _places(self, schedule: Schedule, before: Schedule, held: list[int]) -> frozenset[int]:
        """Return which of the states to go on with, and get ready to decide on those to come."""
        self._thinning, self._positions = None, frozenset()
        capacity, done = schedule.capacity, self._num_steps
        if capacity is None:
            return frozenset(held)
        if self._expected is not None and before.capacity is None:
            self._positions = frozenset(offline_positions(self._expected, capacity))
            return self._positions & frozenset(held)
        thinning = OnlineThinning(capacity)
        for index in range(done):
            thinning.offer(index)
        if before.capacity is not None:
            thinning = OnlineThinning.resumed(capacity, _nearest(thinning.positions, held), done)
        self._thinning = thinning
        return frozenset(thinning.positions)

    def _error(self, num_steps: int) -> MemoryBudgetError:
        states = replace(self._full, keeps_stages=False)
        last = replace(states, capacity=1)
        if self._may_leave:
            last = replace(states, place=self._refuge)
        ways = (self._full, states, last)  # of a few steps, keeping them all may be the least
        least = min(self._peak(num_steps, way) for way in ways)
        return MemoryBudgetError(
            f"memory_budget={self._budget} ({show_bytes(self._budget)}) is too little for this "
            f"solve of {num_steps} steps and its backward pass. The least is {least} "
            f"({show_bytes(least)}), of which one use of f with its gradients takes "
            f"{show_bytes(self._costs.footprint.vjp_bytes)}. Give so much, or take a smaller "
            f"batch, fewer outputs, or larger tolerances.",
            least_bytes=least,
        )


def _end_evaluations(steps: StepGrid) -> tuple[int, int]:
    """Return how many evaluations outputs inside of steps cost, by the slopes at their ends.

    And how many more, where the state at the end of the last step is not there.
    """
    pulled, following = 0, False
    for step in reversed(steps):
        pulled += bool(step.interior_thetas) and not following
        following = step.shares_first_slope
    return pulled, int(bool(steps) and bool(steps[-1].interior_thetas))


def _nearest(wanted: Sequence[int], held: Sequence[int]) -> list[int]:
    """Return as many of the places held, the first among them, each near one that is wanted."""
    chosen: list[int] = []
    first = 0
    for rank, place in enumerate(wanted):
        last = len(held) - (len(wanted) - rank)
        at = min(max(bisect_left(held, place), first), last)
        if at > first and place - held[at - 1] < held[at] - place:
            at -= 1
        chosen.append(held[at])
        first = at + 1
    return chosen


def _name(schedule: Schedule) -> str:
    """Say what is kept."""
    if schedule.keeps_graphs:
        return "the graph of every evaluation"
    if schedule.keeps_stages:
        return "every stage state"
    if schedule.capacity is not None:
        return f"at most {schedule.capacity} state{'s' if schedule.capacity > 1 else ''}"
    where = "" if schedule.place == "device" else f", kept elsewhere ({schedule.place})"
    graphs = f", {schedule.graphs} graphs at once" if schedule.graphs > 1 else ""
    return f"every state{where}{graphs}"


def plan_without_gradient(budget_bytes: int, costs: Costs, num_steps: int) -> Plan:
    """Return the plan of a solve of which no gradient is wanted.

    Raises
    ------
    MemoryBudgetError
        If it takes more.
    """
    least = costs.base() + costs.records(num_steps)
    if least > budget_bytes:
        raise MemoryBudgetError(
            f"memory_budget={budget_bytes} ({show_bytes(budget_bytes)}) is too little for this "
            f"solve of {num_steps} steps, though nothing is kept for a gradient. The least is "
            f"{least} ({show_bytes(least)}). Give so much, or take a smaller batch, or fewer "
            f"outputs.",
            least_bytes=least,
        )
    footprint = costs.footprint
    return Plan(
        budget_bytes=budget_bytes,
        chosen=Alternative("no state, as no gradient is wanted", least, 0),
        others=(),
        num_steps=num_steps,
        num_states=0,
        graphs=0,
        nfe_measuring=footprint.nfe,
        graph_bytes=footprint.graph_bytes,
        vjp_bytes=footprint.vjp_bytes,
        state_bytes=costs.state_bytes,
    )
