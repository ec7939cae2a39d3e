"""A size for every problem at which it is made and solved at once."""

from benchmarks.cases import SMOKE
from benchmarks.discretization import adaptive
from benchmarks.problems import CITED_PROBLEMS, PROBLEMS

ALL_PROBLEMS = PROBLEMS | CITED_PROBLEMS
SMALL = {name: SMOKE.cases(name)[0].size for name in PROBLEMS} | {
    "cnf-power": "2 x 6-12-6 batch 4",
    "cnf-gas": "2 x 8-12-8 batch 4",
    "cnf-hepmass": "2 x 21-12-21 batch 4",
    "cnf-miniboone": "1 x 43-20-43 batch 4",
    "cnf-bsds300": "2 x 63-20-63 batch 4",
    "cnf-mnist": "8 pixels 1 x 4 batch 3",
    "cahn-hilliard": "16 points 4 channels batch 3",
    "odenet": "4 channels batch 5",
    "latent-ode": "4-8-4 batch 5",
    "hamiltonian-spring": "8-8 batch 4",
    "hamiltonian-pendulum": "8-8 batch 4",
    "robertson": "3-5-5-3 batch 2",
    "spiral": "2-10-2 batch 5",
}


def loosely(problem):
    """Return a discretization that takes few steps."""
    return adaptive("dopri5", rtol=1e-3, atol=1e-4, first_step=problem.first_step)


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)
