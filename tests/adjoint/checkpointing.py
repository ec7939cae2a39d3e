"""What schedules are tested with: an interpreter of their actions, and optima found by trying."""

import math
from functools import cache
from itertools import pairwise

from symadj.adjoint.binomial import stretch_replays
from symadj.adjoint.reversal import Advance, Drop, Restore, Store, Transpose
from symadj.adjoint.thinning import OnlineThinning


def interpret(actions, num_steps, stored, capacity):
    """Carry the actions out on bare integers; return how many steps were replayed.

    It asserts that nothing is asked for that is not there, that no more is stored than allowed,
    that nothing stays stored, and that every step is transposed once, the last first.
    """
    stored, in_hand, replays, transposed = set(stored), None, 0, []
    assert len(stored) <= capacity
    for action in actions:
        match action:
            case Restore(step):
                assert step in stored
                in_hand = step
            case Advance(start, stop):
                assert in_hand == start < stop < num_steps
                in_hand = stop
                replays += stop - start
            case Store(step):
                assert in_hand == step
                assert step not in stored
                stored.add(step)
                assert len(stored) <= capacity
            case Drop(step):
                stored.remove(step)
            case Transpose(step):
                assert in_hand == step
                transposed.append(step)
                in_hand = None
            case _:
                raise AssertionError(action)
    assert transposed == list(reversed(range(num_steps)))
    assert not stored
    return replays


def thinned(num_steps, capacity):
    """Return the positions that online thinning leaves, asserting that each decision can be met."""
    thinning, stored = OnlineThinning(capacity), set()
    for step in range(num_steps):
        store, drop = thinning.offer(step)
        if drop is not None:
            assert store
            assert drop != 0
            stored.remove(drop)
        if store:
            stored.add(step)
        assert len(stored) <= capacity
    assert thinning.positions == tuple(sorted(stored))
    return thinning.positions


def kept_replays(positions, num_steps, capacity):
    """Return the replays of the way back on which every stored state is kept until it is needed."""
    stretches = pairwise([*positions, num_steps])
    return sum(stretch_replays(b - a, capacity - j) for j, (a, b) in enumerate(stretches))


@cache
def exhaustive_replays(num_steps, capacity):
    """Return the least replays for every set of stored states, over all that can be done at all.

    Knows of a stored set, a state in hand, and the moves: advance by one step (it costs 1), store,
    drop, restore, transpose. Nothing is assumed of how a good schedule looks.

    Returns
    -------
    dict of frozenset to int
    """
    if num_steps == 0:
        return {}
    last = num_steps - 1
    afterwards = exhaustive_replays(last, capacity)
    stored_sets = [frozenset({0})]
    for step in range(1, num_steps):
        stored_sets += [s | {step} for s in stored_sets if len(s) < capacity]
    nobody = num_steps  # stands for no state in hand
    cost = {(s, hand): math.inf for s in stored_sets for hand in range(num_steps + 1)}
    for s in stored_sets:
        cost[s, last] = afterwards.get(s - {last}, 0 if last == 0 else math.inf)
    changed = True
    while changed:
        changed = False
        for s, hand in reversed(cost):
            moves = [cost[s, step] for step in s]
            moves += [cost[s - {step}, hand] for step in s if step != 0]
            if hand < last:
                moves.append(1 + cost[s, hand + 1])
            if hand != nobody and hand not in s and len(s) < capacity:
                moves.append(cost[s | {hand}, hand])
            if min(moves) < cost[s, hand]:
                cost[s, hand] = min(moves)
                changed = True
    return {s: cost[s, nobody] for s in stored_sets}


@cache
def recursive_replays(length, num_states):
    """Return t(l, s) from the recurrence alone: the best of all places for the next state."""
    if length == 1:
        return 0
    if num_states == 1:
        return length * (length - 1) // 2
    return min(
        m + recursive_replays(length - m, num_states - 1) + recursive_replays(m, num_states)
        for m in range(1, length)
    )


@cache
def recursive_optimum(num_steps, capacity):
    """Return the least replays for N steps and C states, from the recurrence alone."""
    if num_steps <= 1:
        return 0
    if capacity == 1:
        return num_steps * (num_steps - 1) // 2
    return min(
        recursive_replays(m, capacity) + recursive_optimum(num_steps - m, capacity - 1)
        for m in range(1, num_steps + 1)
    )


def best_of_subsets(positions, num_steps, capacity):
    """Return the least replays if some of the stored states may be dropped before the way back."""
    ends = [*positions, num_steps]

    @cache
    def least(i, num_states):
        costs = [stretch_replays(num_steps - ends[i], num_states)]
        if num_states > 1:
            costs += [
                stretch_replays(ends[k] - ends[i], num_states) + least(k, num_states - 1)
                for k in range(i + 1, len(positions))
            ]
        return min(costs)

    return least(0, capacity)
