"""States in tables are those that were kept one by one, whichever way they are asked for."""

import pytest
import torch

from symadj.adjoint.snapshots import Snapshots
from symadj.forward.trajectory import Step, Stretch

STEP = Step(Stretch(0.0, 1.0, 1.0, 0, 0), False, 1, ())


def states_of(num_steps, per_step):
    """The states of each step, and that at the end."""
    return torch.arange((num_steps * per_step + 1) * 2.0).view(-1, 2)


def one_by_one(states, per_step):
    kept = Snapshots(per_step)
    for start in range(0, len(states) - 1, per_step):
        kept.keep(STEP, states[start : start + per_step].unbind())
    return kept


@pytest.mark.parametrize("per_step", [1, 3])
@pytest.mark.parametrize("cuts", [[5], [2, 3], [1, 3, 1]])
@pytest.mark.parametrize("is_mixed", [False, True])
def test_tables_hold_the_states_of_each_step(per_step, cuts, is_mixed):
    states = states_of(5, per_step)
    wanted, kept, first = one_by_one(states, per_step), Snapshots(per_step), 0
    for place, count in enumerate(cuts):
        part = states[first * per_step : (first + count) * per_step + 1]
        if is_mixed and place % 2:
            for start in range(0, len(part) - 1, per_step):
                kept.keep(STEP, part[start : start + per_step].unbind())
        else:
            kept.keep_table(part)
        first += count
    assert kept.are_tables is not (is_mixed and len(cuts) > 1)
    assert kept.num_states == wanted.num_states == 5 * per_step
    for index in reversed(range(5)):
        found = kept.of_step(index)
        assert all(map(torch.equal, found, wanted.of_step(index)))
        assert len(found) == per_step
    assert kept.num_states == per_step  # those after a step that was asked for are let go


@pytest.mark.parametrize("per_step", [1, 2])
@pytest.mark.parametrize("are_tables", [False, True])
def test_the_last_are_taken_with_their_addresses(per_step, are_tables):
    states = states_of(5, per_step)
    kept = one_by_one(states, per_step)
    if are_tables:
        kept = Snapshots(per_step)
        kept.keep_table(states[: 3 * per_step + 1])
        kept.keep_table(states[3 * per_step :])
    counts = []
    while kept.num_states:
        _, addresses = kept.take_last(2)
        first = kept.num_states
        wanted = states[first : first + len(addresses)]
        assert list(addresses) == [state.data_ptr() for state in wanted]
        counts.append(len(addresses) // per_step)
    assert counts == ([2, 3] if are_tables else [2, 2, 1])
