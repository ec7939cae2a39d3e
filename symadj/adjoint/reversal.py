"""The way back through the steps of a solve, as a stream of actions that knows no tensors."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from symadj.adjoint.binomial import check_capacity, stretch_split
from symadj.errors import InvalidInputError


class Restore(NamedTuple):
    """Take a stored state in hand; it stays stored."""

    step: int


class Advance(NamedTuple):
    """Take the steps ``start .. stop - 1`` again: state ``start`` is in hand, then ``stop``."""

    start: int
    stop: int


class Store(NamedTuple):
    """Store the state in hand, which is that at the start of this step; it stays in hand."""

    step: int


class Drop(NamedTuple):
    """Forget a stored state; if it is in hand, it stays in hand."""

    step: int


class Transpose(NamedTuple):
    """Pull the adjoint state back through this step, at whose start the state in hand lies."""

    step: int


Action: TypeAlias = Restore | Advance | Store | Drop | Transpose


def reverse_schedule(num_steps: int, stored: Iterable[int], capacity: int) -> Iterator[Action]:
    """Transpose the steps N-1 .. 0, replaying as little as the stored states allow.

    Each stored state is kept until the steps after it are transposed; places that are free are
    filled binomially. For `offline_positions` this is the least there is. For states that lie
    elsewhere it may pay to replay a few steps and store a later state instead. For what
    `OnlineThinning` leaves, that saved 4 % at the most where it was tried (C = 3; 2 % for C = 4),
    and nothing where the replays are farthest above the optimum, so it is left out.

    Parameters
    ----------
    num_steps : int
        N.
    stored : iterable of int
        Steps whose first state the forward solve stored, at most C; 0 among them unless N = 0.
    capacity : int
        C, the most states stored at once.

    Yields
    ------
    Restore, Advance, Store, Drop or Transpose
        Made when asked for: at any moment this holds C integers.

    Raises
    ------
    InvalidInputError
        If the stored states are none from which all steps can be replayed, or too many.

    References
    ----------
    Griewank & Walther, Algorithm 799: revolve, ACM TOMS 26(1), 2000, doi:10.1145/347837.347846.

    Examples
    --------
    >>> for action in reverse_schedule(3, (0, 1), capacity=2):
    ...     print(action)
    Restore(step=1)
    Advance(start=1, stop=2)
    Transpose(step=2)
    Restore(step=1)
    Drop(step=1)
    Transpose(step=1)
    Restore(step=0)
    Drop(step=0)
    Transpose(step=0)
    """
    check_capacity(capacity)
    stack = sorted(stored)
    _check_stored(num_steps, stack, capacity)
    return _reverse(num_steps, stack, capacity)


def count_replays(actions: Iterable[Action]) -> int:
    """Return how many steps a stream of actions replays."""
    return sum(action.stop - action.start for action in actions if isinstance(action, Advance))


def _reverse(num_steps: int, stack: list[int], capacity: int) -> Iterator[Action]:
    """Make the actions; ``stack`` holds the stored states, the latest on top."""
    for step in reversed(range(num_steps)):
        state = stack[-1]
        yield Restore(state)
        if state == step:
            yield Drop(stack.pop())
        while state < step:
            # The stretch state .. step has this state's own place, and those that are free.
            num_states = capacity - len(stack) + 1
            stop = step
            if num_states > 1:
                stop = state + stretch_split(step + 1 - state, num_states)
            yield Advance(state, stop)
            state = stop
            if state < step:
                yield Store(state)
                stack.append(state)
        yield Transpose(step)


def _check_stored(num_steps: int, stored: list[int], capacity: int) -> None:
    if len(set(stored)) != len(stored) or len(stored) > capacity:
        raise InvalidInputError(
            f"The states {stored} are given as stored. Allowed are at most {capacity}, each once."
        )
    if num_steps and (not stored or stored[0] != 0 or stored[-1] >= num_steps):
        raise InvalidInputError(
            f"The states {stored} are given as stored, for {num_steps} steps. Allowed are those of "
            f"steps 0 .. {num_steps - 1}, and 0 must be among them: all are replayed from there."
        )
