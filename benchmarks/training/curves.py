"""Which curves are trained: each method at loose and tight tolerances, and in three precisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ..discretization import Discretization, adaptive, fixed_grid
from ..methods import BASELINE
from ..problems import ProblemInstance
from .tasks import Task

METHODS = ("symadj", BASELINE, "torchdiffeq-adjoint", "checkpoint-step")
"""The paper's: its own, backpropagation, the adjoint method, and a checkpoint per step (ACA)."""

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCES = ("loose", "tight")
ATOL_OF_RTOL = 0.1
GRID = "grid"
GRID_TABLEAU = "rk4"


@dataclass(frozen=True)
class Curve:
    """What one curve is trained with.

    Attributes
    ----------
    method : str
        The gradient method.
    setting : str
        ``"loose"`` or ``"tight"``, of adaptive steps, or ``"grid"``: equal steps, all the same in
        every precision, so that only rounding differs.
    dtype : str
        Of the solve and its gradient. Weights and optimizer are kept in float64 throughout.
    """

    method: str
    setting: str
    dtype: str

    def discretization(
        self, task: Task, instance: ProblemInstance, num_grid_steps: int
    ) -> Discretization:
        """Return how time is discretized."""
        if self.setting == GRID:
            duration = float(instance.t[-1] - instance.t[0])
            return fixed_grid(GRID_TABLEAU, num_steps=num_grid_steps, duration=duration)
        rtol = task.rtols[self.setting]
        return adaptive(
            task.tableau, rtol=rtol, atol=ATOL_OF_RTOL * rtol, first_step=task.first_step
        )


CURVES = (
    *(Curve(method, setting, "float32") for setting in TOLERANCES for method in METHODS),
    *(Curve(method, GRID, dtype) for dtype in DTYPES for method in METHODS),
)


@dataclass(frozen=True)
class Work:
    """How much is trained of one task: its network, batch and iterations."""

    network: str
    batch_size: int
    num_iterations: int
    num_evaluations: int
    num_grid_steps: int


@dataclass(frozen=True)
class Plan:
    """What is trained at one size."""

    seeds: tuple[int, ...]
    work: Mapping[str, Work]


PLANS = {
    "smoke": Plan(
        seeds=(0,),
        work={
            "digits-cnf": Work("64-4-64", 2, 1, 1, 2),
            "kdv": Work("16 points 2 channels 5 trajectories", 2, 1, 1, 2),
            "odenet": Work("2", 2, 1, 1, 2),
        },
    ),
    "quick": Plan(
        seeds=(0,),
        work={
            "digits-cnf": Work("64-64-64", 64, 60, 6, 8),
            "kdv": Work("32 points 8 channels 20 trajectories", 16, 40, 5, 8),
            "odenet": Work("8", 32, 30, 5, 4),
        },
    ),
    "standard": Plan(
        seeds=(0, 1, 2),
        work={
            "digits-cnf": Work("64-64-64-64", 100, 500, 25, 8),
            "kdv": Work("64 points 16 channels 50 trajectories", 16, 300, 20, 8),
            "odenet": Work("16", 64, 300, 20, 4),
        },
    ),
}
