"""Binomial checkpointing: how few steps must be taken again, and where the states should lie.

The convention, here and in `symadj.adjoint.reversal` and `symadj.adjoint.thinning`. A solve takes
the steps 0 .. N-1; state n is the state at the start of step n, so that state 0 is the initial
value. To transpose step n one needs state n in hand. At most C states are stored at a time, state 0
among them; the one in hand is not counted. What is counted is the steps that are replayed, going
backward, to come from a stored state to one that was not kept. Neither the N steps of the forward
solve count, nor the stages of a step that are made again while it is transposed.

So C = 1 costs N (N - 1) / 2, and C >= N costs nothing.

References
----------
Griewank & Walther, Algorithm 799: revolve, ACM TOMS 26(1), 2000, doi:10.1145/347837.347846, whose
β(s, r) and t(l, s) these are. Their first sweep ends in hand of the state that is needed first,
while a forward solve runs one step farther. It is their problem with N + 1 steps, the last of which
does nothing, and with the first sweep's N steps for free: t(N + 1, C) - N.
"""

import math

from symadj.errors import InvalidInputError


def beta(num_states: int, repetitions: int) -> int:
    """Return β(s, r) = (s + r)! / (s! r!), and 0 for r < 0.

    The most steps that s states can reverse while none is replayed more than r times.
    """
    return math.comb(num_states + repetitions, num_states) if repetitions >= 0 else 0


def repetitions(length: int, num_states: int) -> int:
    """Return the least r with β(s, r) >= l: how often some step has to be replayed."""
    if num_states == 1:
        return max(length - 1, 0)
    r, reach = 0, 1
    while reach < length:
        r += 1
        reach = reach * (num_states + r) // r
    return r


def stretch_replays(length: int, num_states: int) -> int:
    """Return t(l, s), the least number of replayed steps that reverses a stretch of l steps.

    The state at its start is stored, and is one of the s; nothing else of it is.

    As a function of l it is convex, and grows by r where β(s, r - 1) <= l < β(s, r). That is all
    the optimality in this package rests on.
    """
    if num_states == 1:
        return length * (length - 1) // 2
    r = repetitions(length, num_states)
    return r * length - beta(num_states + 1, r - 1)


def stretch_split(length: int, num_states: int) -> int:
    """Return how far to advance into a stretch of l >= 2 steps before the next state is stored.

    With s >= 2 states for the stretch, s - 1 are left for what is right of it. Any m will do with
    β(s, r - 2) <= m <= β(s, r - 1) and β(s - 1, r - 1) <= l - m <= β(s - 1, r), r being the
    `repetitions` of the stretch. This is the largest, for the fewest states on the way.
    """
    r = repetitions(length, num_states)
    return min(beta(num_states, r - 1), length - beta(num_states - 1, r - 1))


def optimal_replays(num_steps: int, capacity: int) -> int:
    """Return the least number of steps that have to be replayed, t(N + 1, C) - N.

    Parameters
    ----------
    num_steps : int
        N, known before the forward solve.
    capacity : int
        C, the most states stored at once.

    Raises
    ------
    InvalidInputError
        If there is no room for a state.

    Examples
    --------
    >>> [optimal_replays(100, capacity) for capacity in (1, 2, 10, 100)]
    [4950, 758, 125, 0]
    """
    check_capacity(capacity)
    return stretch_replays(num_steps + 1, capacity) - num_steps


def offline_positions(num_steps: int, capacity: int) -> tuple[int, ...]:
    """Return the states that a forward solve of known length should store, in order.

    Between them lie stretches; the j-th is reversed when j states to its left are still stored, so
    with s = C - j states of its own. The least sum of t(l_j, C - j) lengthens whichever is cheapest
    to lengthen: all l_j are in [β(s, r - 1), β(s, r)] for one r.

    Parameters
    ----------
    num_steps : int
        N.
    capacity : int
        C.

    Returns
    -------
    tuple of int
        At most C of them; the first is 0.

    Raises
    ------
    InvalidInputError
        If there is no room for a state.

    Examples
    --------
    >>> offline_positions(9, 3)
    (0, 4, 7)
    """
    check_capacity(capacity)
    r = max(repetitions(num_steps + 1, capacity) - 1, 0)
    # All stretches at their shortest make β(C, r) - 1 steps, as Σ_s β(s, r - 1) does, s = 1 .. C.
    missing = num_steps - (beta(capacity, r) - 1)
    positions, start = [], 0
    for num_states in range(capacity, 0, -1):
        if start >= num_steps:
            break
        positions.append(start)
        shortest = beta(num_states, r - 1)
        longer = min(missing, beta(num_states, r) - shortest)
        start += shortest + longer
        missing -= longer
    return tuple(positions)


def check_capacity(capacity: int) -> None:
    """Refuse a number of states with which nothing can be reversed.

    Raises
    ------
    InvalidInputError
        If it is less than 1.
    """
    if capacity < 1:
        raise InvalidInputError(
            f"checkpoints={capacity!r} leaves no room for a state. Allowed is an integer of at "
            f"least 1, as the initial state is always kept; more of them make the backward pass "
            f"faster."
        )
