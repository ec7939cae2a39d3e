"""Which states to keep of a solve whose number of steps is not known until it ends."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from symadj.adjoint.binomial import check_capacity, stretch_replays
from symadj.errors import InvalidInputError


class Decision(NamedTuple):
    """What to do with the state at the start of a step.

    Attributes
    ----------
    store : bool
        Whether to store it.
    drop : int or None
        The step whose state gives up its place for it; None where a place is free.
    """

    store: bool
    drop: int | None


class _Choice(NamedTuple):
    """The best of the stored states 1 .. i to drop, if none after the i-th is.

    Attributes
    ----------
    gains : int
        Σ_{j <= i} of what the j-th stretch costs more with one state more (so not positive).
    excess : float
        What dropping the best one costs more than dropping none, up to ``gains``: the stretches
        from the dropped state to the i-th gain from its place, those before it do not.
    which : int
        Which one it is.
    """

    gains: int
    excess: float
    which: int


class OnlineThinning:
    """At most C states of a solve that may end after any step, near the best places for each N.

    Were the solve to end now, it would cost Σ_j t(l_j, C - j) replayed steps to reverse it, l_j
    being the lengths of the stretches between the stored states (`offline_positions`). Of all that
    can be done with a new state (leave it, or give it the place of any other) that is done which
    makes this sum least, and in doubt the earliest state goes. A stretch once merged is never
    divided again, so this could lead astray. It does not:

    - N <= (C + 1) (C + 2) / 2 - 1: the offline optimum for every N. Here nothing is replayed twice,
      and the rule says to lengthen the first stretch to C + 1 steps, then the second to C, and so
      on, which needs no arithmetic.
    - beyond, C >= 4: at most 7.7 % above the offline optimum of that N, mostly much less.
    - C = 3: at most 10 %, as no thinning is less for every N: 11 replays against 10 for N = 11.
    - C = 2: at most 3/17 (17.6 %, for N = 11 and N = 16), as no thinning is less for every N. Here
      the rule would be 22 % off for N = 13; instead, the one state that can be moved is moved to
      the numbers β(2, r) = 1, 3, 6, 10, 15, ...
    - C = 1: there is nothing to decide.

    These bounds are those of all N <= 2000 and C <= 50, and of N <= 40 000 for C <= 30. The two
    lower bounds are proven in the tests, by trying all thinnings and all ways back.

    An offer takes a few operations, whatever C. One that drops the i-th state takes O(C - i) when
    (C + 1) (C + 2) / 2 steps are past; most drop one of the last.

    Parameters
    ----------
    capacity : int
        C, the most states stored at once, state 0 among them.

    Raises
    ------
    InvalidInputError
        If there is no room for a state.

    References
    ----------
    Wang, Moin & Iaccarino, SIAM J. Sci. Comput. 31(4), 2009, doi:10.1137/080727890, keep the number
    of times any step is replayed least, by levels. Stumm & Walther, SIAM J. Sci. Comput. 32(2),
    2010, doi:10.1137/080742439, keep the sum least, for N <= β(C, 2), and are close to it up to
    β(C, 3). The rule here is neither, though it agrees with both where they are optimal.

    Examples
    --------
    >>> thinning = OnlineThinning(capacity=3)
    >>> [thinning.offer(step) for step in range(4)][-1]
    Decision(store=True, drop=1)
    >>> thinning.positions
    (0, 2, 3)
    """

    def __init__(self, capacity: int) -> None:
        check_capacity(capacity)
        self._capacity = capacity
        self._positions: list[int] = []
        self._num_offered = 0
        self._growing = 0
        self._choices: list[_Choice] = []

    @classmethod
    def resumed(cls, capacity: int, positions: Sequence[int], num_offered: int) -> "OnlineThinning":
        """Return one that goes on from states chosen by somebody else.

        Parameters
        ----------
        capacity : int
        positions : sequence of int, ``capacity`` of them
            Steps whose first state is stored, in order; the first is 0.
        num_offered : int
            Steps that were accepted so far.
        """
        thinning = cls(capacity)
        thinning._positions = list(positions)
        thinning._num_offered = num_offered
        thinning._weigh(1)  # the stretches are not those of which `_lengthen` knows
        return thinning

    @property
    def positions(self) -> tuple[int, ...]:
        """The steps whose first state is stored, in order."""
        return tuple(self._positions)

    def offer(self, step: int) -> Decision:
        """Decide about the state at the start of a step, when that step is accepted.

        Parameters
        ----------
        step : int
            0, 1, 2, ...: every accepted step has to be told of, one after the other.

        Returns
        -------
        Decision

        Raises
        ------
        InvalidInputError
            If it is not the next one.
        """
        if step != self._num_offered:
            raise InvalidInputError(
                f"Step {step} was offered where step {self._num_offered} comes next. Offer every "
                f"accepted step once, in order."
            )
        self._num_offered += 1
        if len(self._positions) < self._capacity:
            self._positions.append(step)
            return Decision(store=True, drop=None)
        index = self._choose(step)
        if index is None:
            return Decision(store=False, drop=None)
        dropped = self._positions.pop(index)
        self._positions.append(step)
        if self._choices:
            self._weigh(max(index - 1, 1))
        return Decision(store=True, drop=dropped)

    def _choose(self, step: int) -> int | None:
        """Return which stored state should make place for this one; None for none."""
        if self._capacity == 1:
            return None
        if self._capacity == 2:
            return 1 if _is_triangular(step) else None
        if not self._choices:
            index = self._lengthen()
            if index is not None:
                return index
            self._weigh(1)
        return self._cheapest(step)

    def _lengthen(self) -> int | None:
        """Choose while no step need be replayed twice; None when that is over.

        Right of the stretch that grows all are one step long still. With s states it may become
        s + 1 steps long.
        """
        positions, j = self._positions, self._growing
        if positions[j + 1] - positions[j] == self._capacity - j + 1:
            self._growing = j = j + 1
        return j + 1 if j < self._capacity - 1 else None

    def _cheapest(self, step: int) -> int | None:
        """Choose what is cheapest to reverse, were this step the last.

        All costs are relative to those of the stretches before the last stored state. If this state
        is stored, the stretch from there to here, ``last`` steps long, is closed; if another state
        than the last is dropped for it, that stretch has two states.
        """
        *_, before, start = self._positions
        last = step - start
        leave = stretch_replays(last + 1, 1)
        drop_last = stretch_replays(step - before, 2) - stretch_replays(start - before, 2)
        choice = self._choices[-1]
        drop_other = choice.excess + choice.gains + stretch_replays(last, 2)
        if leave < min(drop_last, drop_other):
            return None
        return choice.which if drop_other <= drop_last else self._capacity - 1

    def _weigh(self, first: int) -> None:
        """Bring the choices up to date, from that of the ``first`` state on.

        Dropping the i-th merges the stretches i-1 and i, and leaves a state more to each later one.
        The last is not closed yet: `_cheapest` sees to it.
        """
        positions, choices = self._positions, self._choices
        del choices[first:]
        if not choices:
            choices.append(_Choice(gains=0, excess=math.inf, which=0))
        gains, excess, which = choices[-1]
        for i in range(first, self._capacity - 1):
            before, start, stop = positions[i - 1 : i + 2]
            num_states = self._capacity - i
            alone = stretch_replays(stop - start, num_states)
            gains += stretch_replays(stop - start, num_states + 1) - alone
            merged = (
                stretch_replays(stop - before, num_states + 1)
                - stretch_replays(start - before, num_states + 1)
                - alone
                - gains
            )
            if merged < excess:
                excess, which = merged, i
            choices.append(_Choice(gains, excess, which))


def _is_triangular(number: int) -> bool:
    """Whether it is 1 + 2 + ... + k = β(2, k - 1) for some k."""
    square = 8 * number + 1
    return math.isqrt(square) ** 2 == square
