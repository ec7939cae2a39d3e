"""The offline optimum: the formulas against all that can be done, and against a recurrence."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symadj.adjoint.binomial import (
    beta,
    offline_positions,
    optimal_replays,
    repetitions,
    stretch_replays,
    stretch_split,
)
from symadj.adjoint.reversal import reverse_schedule
from symadj.errors import InvalidInputError
from tests.adjoint.checkpointing import (
    exhaustive_replays,
    interpret,
    recursive_optimum,
    recursive_replays,
)


@pytest.mark.parametrize(("capacity", "most_steps"), [(1, 12), (2, 11), (3, 10), (4, 8), (5, 8)])
def test_nothing_that_can_be_done_is_better(capacity, most_steps):
    for num_steps in range(1, most_steps + 1):
        least = min(exhaustive_replays(num_steps, capacity).values())
        assert optimal_replays(num_steps, capacity) == least


def test_formulas_solve_the_recurrence():
    for capacity in range(1, 11):
        for num_steps in range(1, 81):
            assert stretch_replays(num_steps, capacity) == recursive_replays(num_steps, capacity)
            assert optimal_replays(num_steps, capacity) == recursive_optimum(num_steps, capacity)


def test_every_split_is_optimal():
    for num_states in range(2, 11):
        for length in range(2, 300):
            m = stretch_split(length, num_states)
            assert 0 < m < length
            assert stretch_replays(length, num_states) == (
                m + stretch_replays(length - m, num_states - 1) + stretch_replays(m, num_states)
            )


@pytest.mark.parametrize("num_states", [1, 2, 3, 10, 50])
def test_repetitions_bracket_the_length(num_states):
    for length in range(1, 2000):
        r = repetitions(length, num_states)
        assert beta(num_states, r - 1) < length <= beta(num_states, r)


@settings(deadline=None, max_examples=100)
@given(num_steps=st.integers(0, 2000), capacity=st.integers(1, 50))
def test_positions_reach_the_optimum(num_steps, capacity):
    positions = offline_positions(num_steps, capacity)
    actions = reverse_schedule(num_steps, positions, capacity)
    assert interpret(actions, num_steps, positions, capacity) == optimal_replays(
        num_steps, capacity
    )


@pytest.mark.parametrize("num_steps", [0, 1, 2, 3, 10, 100])
def test_one_state_and_states_for_all(num_steps):
    assert optimal_replays(num_steps, 1) == num_steps * (num_steps - 1) // 2
    for capacity in range(max(num_steps, 1), num_steps + 3):
        assert optimal_replays(num_steps, capacity) == 0
        assert offline_positions(num_steps, capacity) == tuple(range(num_steps))


@settings(deadline=None, max_examples=50)
@given(num_steps=st.integers(1, 300), capacity=st.integers(1, 50))
def test_agrees_with_checkpoint_schedules(num_steps, capacity):
    schedules = pytest.importorskip("checkpoint_schedules")
    # It counts every forward step of N + 1, the N + 1 that are transposed included.
    total = schedules.optimal_steps_binomial(num_steps + 1, capacity)
    assert optimal_replays(num_steps, capacity) == total - (num_steps + 1) - num_steps


@pytest.mark.parametrize("call", [optimal_replays, offline_positions])
def test_no_room_is_refused(call):
    with pytest.raises(InvalidInputError, match="checkpoints=0 leaves no room"):
        call(10, 0)
