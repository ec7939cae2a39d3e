"""A size for every problem at which it is made and solved at once."""

from benchmarks.discretization import adaptive
from benchmarks.problems import PROBLEMS
from benchmarks.sizes import SMOKE

SMALL = {name: SMOKE.cases(name)[0].size for name in PROBLEMS}


def loosely(problem, jump_t=()):
    """Return a discretization that takes few steps."""
    return adaptive("dopri5", rtol=1e-3, atol=1e-4, first_step=problem.first_step, jump_t=jump_t)


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)
