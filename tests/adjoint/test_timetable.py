"""Times made for many steps at once are those of each step, to the bit."""

import random

import pytest
import torch

from symadj.adjoint.timetable import NUM_AT_ONCE, Timetable
from symadj.forward.trajectory import Step, Stretch
from symadj.forward.weights import Clock
from symadj.tableaus import TABLEAUS

DTYPES = (torch.float32, torch.float64, torch.complex64, torch.bfloat16)


def random_steps(count, sides):
    draw = random.Random(count)
    steps = []
    for _ in range(count):
        t0 = draw.uniform(-10, 10) * 10 ** draw.randint(-6, 4)
        h = draw.uniform(-1, 1) * 10 ** draw.randint(-12, 2)
        stretch = Stretch(t0, t0 + h, h, draw.choice(sides), draw.choice(sides))
        steps.append(Step(stretch, False, 0, ()))
    return steps


@pytest.mark.parametrize("sides", [(0,), (-1, 0, 1)])
@pytest.mark.parametrize("time_dtype", [None, torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["dopri5", "rk4", "radauIIA5"])
def test_the_times_of_a_step_are_those_of_the_clock(method, dtype, time_dtype, sides):
    clock = Clock(TABLEAUS[method], torch.zeros(3, dtype=dtype), time_dtype)
    steps = random_steps(2 * NUM_AT_ONCE + 5, sides)
    timetable = Timetable(clock, steps)
    for index in reversed(range(len(steps))):
        times, wanted = timetable[index], clock(steps[index].stretch)
        assert [time.dtype for time in times] == [dtype.to_real()] * len(wanted)
        assert all(map(torch.equal, times, wanted))


def test_steps_may_be_left_out():
    clock = Clock(TABLEAUS["dopri5"], torch.zeros(3), None)
    steps = random_steps(3 * NUM_AT_ONCE, (-1, 0))
    timetable = Timetable(clock, steps)
    for index in (len(steps) - 1, NUM_AT_ONCE, 1, 0):
        assert all(map(torch.equal, timetable[index], clock(steps[index].stretch)))
