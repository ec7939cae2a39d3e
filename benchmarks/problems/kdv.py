"""Learning the Korteweg-de Vries equation from its trajectories, by an energy network.

The network learns an energy H(u); the state moves by du/dt = G ∇H(u) with G the skew-symmetric
central difference for ∂/∂x, so the learned energy and the mass are conserved by construction.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from .energy_field import central_difference
from .kdv_spectral import kdv_trajectory, soliton
from .learned_energy import energy_instance
from .problem import Problem, ProblemInstance

LENGTH = 20.0
NUM_OUTPUTS = 5
DURATION = 1.0
MAX_STEP = 1e-3
REFINEMENT = 2  # data are computed on a finer grid than the network sees
GAIN = 3.0


@lru_cache(maxsize=4)
def two_soliton_data(num_points: int, batch_size: int, seed: int) -> Tensor:
    """Compute trajectories of two solitons of random speed and place.

    Returns
    -------
    Tensor, shape (NUM_OUTPUTS, batch_size, num_points), float64
        Values at every REFINEMENT-th point of the spectral solver's grid.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(REFINEMENT * num_points, dtype=torch.float64)
    x = x * (LENGTH / (REFINEMENT * num_points))
    draws = torch.rand(batch_size, 4, generator=generator, dtype=torch.float64).tolist()
    u0 = torch.stack(
        [
            soliton(x, 0.0, speed=3 + 3 * a, center=LENGTH * b, length=LENGTH)
            + soliton(x, 0.0, speed=1 + 2 * c, center=LENGTH * (b + 0.3 + 0.4 * d), length=LENGTH)
            for a, b, c, d in draws
        ]
    )
    times = torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64)
    fine = kdv_trajectory(u0, length=LENGTH, times=times, max_step=MAX_STEP)
    return fine[..., ::REFINEMENT].clone()


def make_kdv(size: str, seed: int) -> ProblemInstance:
    """Make the learning problem of a size such as ``"64 points 16 channels batch 8"``."""
    return energy_instance(
        size,
        seed,
        data=two_soliton_data,
        operator=central_difference,
        length=LENGTH,
        times=torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64),
        gain=GAIN,
    )


KDV = Problem(
    name="kdv",
    source=(
        "Korteweg-de Vries by a learned energy, du/dt = G grad H (Matsubara et al., NeurIPS 2020, "
        "arXiv:1905.08604; NeurIPS 2021, arXiv:2102.09750, section 5.2); trajectories computed "
        "here by a pseudo-spectral solver."
    ),
    version="1",
    data="computed",
    rtol=1e-5,
    atol=1e-6,
    first_step=0.05,
    make=make_kdv,
)
KDV_CHECKPOINTS = replace(KDV, name="kdv-checkpoints")
