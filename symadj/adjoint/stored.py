"""States in a store: fewer than there are steps, or elsewhere than on the device.

The backward pass empties the store as it goes, so that its memory serves other states, and ``f``. A
second backward pass (``retain_graph=True``) fills it anew, from the initial state on.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from symadj.adjoint.binomial import offline_positions
from symadj.adjoint.reversal import (
    Action,
    Advance,
    Drop,
    Restore,
    Store,
    Transpose,
    reverse_schedule,
)
from symadj.adjoint.schedule import Schedule
from symadj.adjoint.storage import SnapshotStore, make_store
from symadj.adjoint.thinning import OnlineThinning
from symadj.adjoint.walk import Walk
from symadj.errors import SnapshotError
from symadj.forward.trajectory import Step


class StoredStates:
    """The states of one solve, kept as the schedule says.

    Parameters
    ----------
    schedule : Schedule
    per_step : int
        States of each step that are offered: 1, that at its start, or the stage states too.
    like : Tensor, shape (n,)
        A state.
    num_steps : int or None
        How many steps there will be, if that is known before.

    Attributes
    ----------
    failure : SnapshotError or None
        Why a state could not be kept: the solve went on without keeping any.
    most : int
        The most states kept at once, so far.
    """

    def __init__(
        self, schedule: Schedule, per_step: int, like: Tensor, num_steps: int | None
    ) -> None:
        self._schedule, self._per_step, self._offered = schedule, per_step, per_step
        self.most = 0
        self.failure: SnapshotError | None = None
        self._is_spent, self._num_steps = False, 0
        self._begin(like, num_steps)

    def keep(self, step: Step, stage_states: Sequence[Tensor]) -> None:
        """Keep the states of the next step, or some, or none."""
        index = self._num_steps
        self._num_steps += 1
        if self.failure is not None:
            return
        try:
            if self._schedule.capacity is None:
                for offset, state in enumerate(stage_states):
                    place = index * self._per_step + offset
                    self._store.put(place, state, private=_is_alone(state))
            elif self._wants(index):
                self._store.put(index, stage_states[0], private=_is_alone(stage_states[0]))
        except SnapshotError as error:
            self.failure = error
            self._store.close()
        self.most = max(self.most, len(self._store))

    @property
    def nbytes(self) -> int:
        """Bytes held now, wherever."""
        return sum(self._store.nbytes)

    def give_away(self) -> list[Tensor]:
        """Return the states at the starts of the steps, all of which are there, and keep none."""
        places = range(0, self._num_steps * self._per_step, self._per_step)
        states = [self._store.get(place) for place in places]
        self._store.close()
        return states

    def rewind(self, walk: Walk, y0: Tensor) -> "Rewound":
        """Return the states in reverse order.

        Parameters
        ----------
        walk : Walk
            Takes steps again.
        y0 : Tensor, shape (n,)
            The initial state.
        """
        if self._is_spent:
            self._fill(walk, y0)
        self._is_spent = True
        return Rewound(self._store, self._schedule.capacity, self._per_step, walk, self)

    def _begin(self, like: Tensor, num_steps: int | None) -> None:
        schedule = self._schedule
        self._store: SnapshotStore = make_store(schedule.place, like, schedule.dtype)
        self._is_spent, self._num_steps = False, 0
        self._thinning: OnlineThinning | None = None
        self._positions: frozenset[int] = frozenset()
        if schedule.capacity is not None and num_steps is None:
            self._thinning = OnlineThinning(schedule.capacity)
        elif schedule.capacity is not None and num_steps is not None:
            self._positions = frozenset(offline_positions(num_steps, schedule.capacity))

    def _wants(self, index: int) -> bool:
        """Return whether to keep this state, after making room for it."""
        if self._thinning is None:
            return index in self._positions
        decision = self._thinning.offer(index)
        if decision.drop is not None:
            self._store.drop(decision.drop)
        return decision.store

    def _fill(self, walk: Walk, y0: Tensor) -> None:
        """Keep the states once more; the number of steps is known now."""
        num_steps = len(walk.steps)
        self._begin(y0, num_steps)
        y = y0
        for index in range(num_steps):
            stage_states, y1 = walk.step(index, y, want_stages=self._per_step > 1)
            self.keep(walk.steps[index], stage_states)
            y = y1
        if self.failure is not None:
            raise self.failure


def _is_alone(state: Tensor) -> bool:
    """Whether a state is all that its memory holds, and not one of a table of them."""
    return state.untyped_storage().nbytes() == state.nbytes


class Rewound:
    """The states of a trajectory, to be asked for from the last step to the first.

    Parameters
    ----------
    store : SnapshotStore
        Emptied on the way.
    capacity : int or None
        The most states in it; None if it holds all.
    per_step : int
    walk : Walk
    owner : StoredStates
        Is told of the most states kept at once.
    """

    def __init__(
        self,
        store: SnapshotStore,
        capacity: int | None,
        per_step: int,
        walk: Walk,
        owner: StoredStates,
    ) -> None:
        self._store, self._per_step, self._walk, self._owner = store, per_step, walk, owner
        self._actions: Iterator[Action] | None = None
        if capacity is not None:
            self._actions = reverse_schedule(len(walk.steps), store.indices, capacity)

    def of_step(self, index: int) -> Sequence[Tensor]:
        """Return what is known of a step: the state at its start, and the stage states if kept."""
        if self._actions is None:
            places = range(index * self._per_step, (index + 1) * self._per_step)
            states = [self._store.get(place) for place in places]
            for place in places:
                self._store.drop(place)
            if index:
                self._store.prefetch((index - 1) * self._per_step)
            return states
        return [self._state(index, self._actions)]

    def close(self) -> None:
        """Give all memory back."""
        self._store.close()

    def _state(self, index: int, actions: Iterator[Action]) -> Tensor:
        y: Tensor | None = None
        for action in actions:
            match action:
                case Restore(step):
                    y = self._store.get(step)
                case Drop(step):
                    self._store.drop(step)
                case Advance(start, stop) if y is not None:
                    for passed in range(start, stop):
                        _, y = self._walk.step(passed, y)
                case Store(step) if y is not None:
                    self._store.put(step, y, private=True)
                    self._owner.most = max(self._owner.most, len(self._store))
                case Transpose(step) if y is not None and step == index:
                    return y
        raise AssertionError(f"the schedule does not lead to step {index}")
