"""Steps that are kept as numbers are those that were taken, whichever way they are asked for."""

import copy
import pickle
from array import array

import pytest

from symadj.forward.steplog import Notes, StepLog, carries
from symadj.forward.trajectory import Step, Stretch

STEPS = [
    Step(Stretch(0.0, 0.25, 0.25, 0, -1), False, 1, ()),
    Step(Stretch(0.25, 0.75, 0.5, -1, -1), True, 1, (0.125, 0.5)),
    Step(Stretch(0.75, 1.0, 0.25, -1, -1), True, 3, (1.0,)),
]
BACKWARDS = [
    Step(Stretch(1.0, 0.5, -0.5, 1, -1), False, 1, (0.25,)),
    Step(Stretch(0.5, -0.25, -0.75, -1, -1), True, 2, ()),
]


@pytest.fixture(params=[STEPS, BACKWARDS, STEPS[:1]])
def steps(request):
    return request.param


def noted(steps):
    log = StepLog()
    log.note(Notes.of(steps))
    return log


def test_numbers_are_those_of_the_steps(steps):
    log = noted(steps)
    assert log.notes is not None
    assert len(log) == len(log.notes) == len(steps)
    assert [log[index] for index in range(-len(steps), len(steps))] == [*steps, *steps]
    assert log.notes.end == steps[-1].stretch.t1
    with pytest.raises(IndexError):
        log[len(steps)]
    assert list(log) == log[:] == steps
    assert log == steps
    assert log[-1:] == steps[-1:]
    assert list(reversed(log)) == steps[::-1]
    assert repr(log) == repr(steps)
    assert copy.deepcopy(log) == pickle.loads(pickle.dumps(log)) == log


def test_logs_differ_where_their_steps_do(steps):
    assert noted(steps) != noted(steps)[:-1]
    assert noted(steps) == noted(steps)
    assert noted(steps) != "steps"
    assert StepLog() == []
    assert not StepLog()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_more_may_follow_in_either_form(count):
    whole = Notes.of(STEPS)
    first, later = Notes.of(STEPS[:count]), Notes.of(STEPS[count:])
    # Thetas are of all outputs, and in one place for all steps of a solve.
    first.thetas = later.thetas = whole.thetas
    later.outputs = whole.outputs[count:]
    by_numbers, by_steps, mixed = StepLog(), StepLog(), StepLog()
    for log in (by_numbers, mixed):
        if count:
            log.note(copy.deepcopy(first))
    assert list(by_numbers) == STEPS[:count]
    by_numbers.note(later)
    assert by_numbers.notes is not None
    assert by_numbers.notes.outputs == whole.outputs
    assert by_numbers.notes.shares_first_slope == array("q", [0, 1, 1])
    for step in STEPS[count:]:
        mixed.append(step)
    for step in STEPS[:count]:
        by_steps.append(step)
    by_steps.note(later)
    assert by_numbers == by_steps == mixed == STEPS
    assert mixed.notes is None
    assert StepLog(STEPS) == STEPS


def test_numbers_of_a_log_are_its_own():
    log = noted(STEPS)
    assert Notes.of(log) is log.notes
    again = Notes.of(StepLog(STEPS))
    assert again == log.notes
    assert log.notes.has_interior_outputs
    assert not noted(STEPS[:1]).notes.has_interior_outputs
    at_end = STEPS[2]._replace(first_output=1)
    assert not Notes.of([at_end]).has_interior_outputs


def test_what_f_carried_is_that_of_steps_alone():
    state = object()
    carrying = [STEPS[0]._replace(carried=((state,),)), STEPS[1]]
    assert list(StepLog(carrying).carried) == [(state,)]
    assert list(noted(STEPS).carried) == []
    assert carries(StepLog(carrying))
    assert carries(carrying)
    assert not carries(STEPS)
    assert not carries(noted(STEPS))
    assert not carries(StepLog())
