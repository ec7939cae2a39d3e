"""What is kept in a store is all that it keeps alive."""

import torch

from symadj.adjoint.schedule import Schedule
from symadj.adjoint.stored import StoredStates
from symadj.forward.trajectory import Step, Stretch

STEP = Step(Stretch(0.0, 1.0, 1.0, 0, 0), False, 1, ())


def test_a_row_of_a_table_is_copied_and_a_state_alone_is_not():
    table, alone = torch.randn(64, 5), torch.randn(5)
    states = StoredStates(Schedule.of(2), 1, alone, 2)
    states.keep(STEP, (table[3],))
    states.keep(STEP, (alone,))
    row, same = states.give_away()
    assert torch.equal(row, table[3])
    assert row.untyped_storage().nbytes() == row.nbytes
    assert same.data_ptr() == alone.data_ptr()
