"""The way back: never without what it needs, never more than it may store, never too long."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symadj.adjoint.binomial import offline_positions, optimal_replays
from symadj.adjoint.reversal import Restore, count_replays, reverse_schedule
from symadj.errors import InvalidInputError
from tests.adjoint.checkpointing import exhaustive_replays, interpret, kept_replays, thinned


@st.composite
def solves(draw):
    """Return N, any stored states and any C with room for them."""
    num_steps = draw(st.integers(1, 200))
    others = draw(st.sets(st.integers(0, num_steps - 1), max_size=20))
    stored = sorted({0, *others})
    return num_steps, stored, draw(st.integers(len(stored), 25))


@settings(deadline=None, max_examples=300)
@given(solves())
def test_carries_through_from_any_stored_states(solve):
    num_steps, stored, capacity = solve
    replays = interpret(reverse_schedule(num_steps, stored, capacity), num_steps, stored, capacity)
    assert replays == kept_replays(stored, num_steps, capacity)
    assert replays == count_replays(reverse_schedule(num_steps, reversed(stored), capacity))


@pytest.mark.parametrize("positions", [offline_positions, thinned])
@pytest.mark.parametrize(("capacity", "most_steps"), [(1, 12), (2, 11), (3, 10), (4, 8), (5, 8)])
def test_nothing_better_can_be_done_with_what_was_stored(positions, capacity, most_steps):
    for num_steps in range(1, most_steps + 1):
        stored = positions(num_steps, capacity)
        least = exhaustive_replays(num_steps, capacity)[frozenset(stored)]
        assert count_replays(reverse_schedule(num_steps, stored, capacity)) == least


def test_nothing_to_reverse():
    assert list(reverse_schedule(0, (), 3)) == []


def test_is_made_as_it_is_asked_for():
    num_steps, stored = 10**9, offline_positions(10**9, 10)
    actions = list(itertools.islice(reverse_schedule(num_steps, stored, 10), 1000))
    assert actions[0] == Restore(stored[-1])
    assert optimal_replays(num_steps, 10) > 10**9


@pytest.mark.parametrize(
    ("stored", "capacity", "message"),
    [
        ((), 2, "0 must be among them"),
        ((1, 2), 2, "0 must be among them"),
        ((0, 5), 2, r"steps 0 \.\. 4"),
        ((0, 1, 2), 2, "at most 2"),
        ((0, 0), 2, "each once"),
        ((0,), 0, "no room"),
    ],
)
def test_refuses_before_the_first_action(stored, capacity, message):
    with pytest.raises(InvalidInputError, match=message):
        reverse_schedule(5, stored, capacity)
