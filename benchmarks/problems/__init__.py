"""The benchmark problems, by name."""

from __future__ import annotations

from .digits import DIGITS_CLASSIFIER, DIGITS_CNF
from .kdv import KDV
from .mlp import MLP_CHECKPOINTS, MLP_ORDER, MLP_SIZE, MLP_STEPS
from .problem import Problem, ProblemInstance, State

__all__ = ["PROBLEMS", "Problem", "ProblemInstance", "State"]

PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        DIGITS_CLASSIFIER,
        DIGITS_CNF,
        KDV,
        MLP_ORDER,
        MLP_SIZE,
        MLP_STEPS,
        MLP_CHECKPOINTS,
    )
}
