"""The benchmark problems, by name."""

from __future__ import annotations

from .cahn_hilliard import CAHN_HILLIARD
from .cnf.mnist import CNF_MNIST
from .cnf.tabular import CNF_BSDS300, CNF_GAS, CNF_HEPMASS, CNF_MINIBOONE, CNF_POWER
from .digits import DIGITS_CLASSIFIER, DIGITS_CNF
from .hamiltonian import HAMILTONIAN_PENDULUM, HAMILTONIAN_SPRING
from .kdv import KDV, KDV_CHECKPOINTS
from .latent_ode import LATENT_ODE
from .mlp import MLP_CHECKPOINTS, MLP_ORDER, MLP_OVERHEAD, MLP_SIZE, MLP_STEPS
from .odenet import ODENET
from .problem import Problem, ProblemInstance, State
from .robertson import ROBERTSON
from .spiral import SPIRAL

__all__ = ["PROBLEMS", "Problem", "ProblemInstance", "State"]

PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        DIGITS_CLASSIFIER,
        DIGITS_CNF,
        KDV,
        CNF_POWER,
        CNF_GAS,
        CNF_HEPMASS,
        CNF_MINIBOONE,
        CNF_BSDS300,
        CNF_MNIST,
        CAHN_HILLIARD,
        ODENET,
        LATENT_ODE,
        HAMILTONIAN_SPRING,
        HAMILTONIAN_PENDULUM,
        ROBERTSON,
        SPIRAL,
        MLP_ORDER,
        MLP_SIZE,
        MLP_STEPS,
        MLP_CHECKPOINTS,
        MLP_OVERHEAD,
        KDV_CHECKPOINTS,
    )
}
