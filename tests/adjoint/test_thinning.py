"""Thinning a solve of unknown length: how near the offline optimum, and how near one can be."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symadj.adjoint.binomial import optimal_replays
from symadj.adjoint.reversal import reverse_schedule
from symadj.adjoint.thinning import OnlineThinning
from symadj.errors import InvalidInputError
from tests.adjoint.checkpointing import (
    best_of_subsets,
    exhaustive_replays,
    interpret,
    kept_replays,
    thinned,
)


def largest_allowed(optimum, capacity):
    """Return how many replays are promised: those that the class's docstring states."""
    if capacity == 2:
        return optimum * Fraction(20, 17)
    if capacity == 3:
        return optimum * Fraction(11, 10)
    return optimum * (1 if capacity == 1 else Fraction(1077, 1000))


@settings(deadline=None, max_examples=100)
@given(num_steps=st.integers(1, 2000), capacity=st.integers(1, 50))
def test_carried_out_within_ten_percent(num_steps, capacity):
    positions = thinned(num_steps, capacity)
    actions = reverse_schedule(num_steps, positions, capacity)
    replays = interpret(actions, num_steps, positions, capacity)
    assert replays == kept_replays(positions, num_steps, capacity)
    assert replays <= largest_allowed(optimal_replays(num_steps, capacity), capacity)


@pytest.mark.parametrize("capacity", [1, 2, 3, 4, 5, 6, 8, 12, 13, 20, 21, 33, 50])
def test_within_ten_percent_wherever_the_solve_ends(capacity):
    thinning = OnlineThinning(capacity)
    for step in range(2000):
        thinning.offer(step)
        replays = kept_replays(thinning.positions, step + 1, capacity)
        assert replays <= largest_allowed(optimal_replays(step + 1, capacity), capacity)


@pytest.mark.parametrize("capacity", [1, 2, 3, 4, 7, 20, 50])
def test_optimal_wherever_the_solve_ends_while_nothing_is_replayed_twice(capacity):
    thinning = OnlineThinning(capacity)
    for step in range((capacity + 1) * (capacity + 2) // 2 - 1):
        thinning.offer(step)
        replays = kept_replays(thinning.positions, step + 1, capacity)
        assert replays == optimal_replays(step + 1, capacity)


@pytest.mark.parametrize("capacity", [3, 4, 6, 9])
def test_does_at_each_step_what_costs_least_were_it_the_last(capacity):
    """The rule as it is stated, with all the arithmetic that the class avoids."""
    thinning, expected = OnlineThinning(capacity), ()
    for step in range(300):
        candidates = [(*expected, step)]
        if len(expected) == capacity:
            candidates = [(*expected[:i], *expected[i + 1 :], step) for i in range(1, capacity)]
            candidates.append(expected)
        # Of equals min takes the first: the earliest state goes, and some state rather than none.
        expected = min(candidates, key=lambda stored: kept_replays(stored, step + 1, capacity))
        thinning.offer(step)
        assert thinning.positions == expected


@pytest.mark.parametrize("capacity", [2, 3, 5, 9, 16])
def test_no_stored_state_would_better_be_dropped_before_the_way_back(capacity):
    thinning = OnlineThinning(capacity)
    for step in range(400):
        thinning.offer(step)
        if step % 7 == 0 or step < 60:
            least = best_of_subsets(thinning.positions, step + 1, capacity)
            assert kept_replays(thinning.positions, step + 1, capacity) == least


@pytest.mark.parametrize(
    ("capacity", "num_steps", "bound"), [(2, 20, Fraction(20, 17)), (3, 11, Fraction(11, 10))]
)
def test_no_thinning_can_do_better_with_two_or_three_states(capacity, num_steps, bound):
    """Follow all thinnings at once, with the best way back: their least worst ratio is ours."""
    worst_ratios = {frozenset({0}): Fraction(1)}
    for n in range(1, num_steps):
        successors = dict(worst_ratios)
        for stored, ratio in worst_ratios.items():
            dropped = [{step} for step in stored if step != 0]
            for drop in [set(), *dropped]:
                after = (stored - drop) | {n}
                if len(after) <= capacity:
                    successors[after] = min(successors.get(after, ratio), ratio)
        costs = exhaustive_replays(n + 1, capacity)
        least = min(costs.values())
        worst_ratios = {
            stored: ratio if costs[stored] == least else max(ratio, Fraction(costs[stored], least))
            for stored, ratio in successors.items()
            if least or not costs[stored]
        }
    assert min(worst_ratios.values()) == bound


@pytest.mark.parametrize("step", [0, 2])
def test_steps_are_offered_in_order(step):
    thinning = OnlineThinning(3)
    thinning.offer(0)
    with pytest.raises(InvalidInputError, match=f"Step {step} was offered where step 1 comes next"):
        thinning.offer(step)


def test_no_room_is_refused():
    with pytest.raises(InvalidInputError, match="checkpoints=0 leaves no room"):
        OnlineThinning(0)
