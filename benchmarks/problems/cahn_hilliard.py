"""Learning the Cahn-Hilliard equation from its trajectories, by an energy network.

The network learns an energy H(u); the state moves by du/dt = G ∇H(u) with G the second difference
for ∂²/∂x², so the mass is conserved and the learned energy decays by construction.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from .cahn_hilliard_spectral import cahn_hilliard_trajectory
from .energy_field import second_difference
from .learned_energy import energy_instance
from .problem import Problem, ProblemInstance

LENGTH = 1.0
GAMMA = 5e-4
NUM_OUTPUTS = 5
DURATION = 5e-3  # the fastest wave grows by a factor e in 4 GAMMA
MAX_STEP = 5e-6
REFINEMENT = 4  # the data's grid resolves a quarter of its own wave numbers
NUM_WAVES = 8  # in the initial values; up to 1 / (2π √GAMMA) = 7.1 of them grow
AMPLITUDE = 0.5
GAIN = 2.0


@lru_cache(maxsize=4)
def separating_data(num_points: int, batch_size: int, seed: int) -> Tensor:
    """Compute trajectories of mixtures that separate, from random smooth initial values.

    Returns
    -------
    Tensor, shape (NUM_OUTPUTS, batch_size, num_points), float64
        Values at every REFINEMENT-th point of the spectral solver's grid.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.arange(REFINEMENT * num_points, dtype=torch.float64) / (REFINEMENT * num_points)
    mode = torch.arange(1, NUM_WAVES + 1, dtype=torch.float64)
    coefficients, phases = torch.rand(
        2, batch_size, NUM_WAVES, generator=generator, dtype=torch.float64
    )
    waves = torch.cos(2 * math.pi * (mode[:, None] * x + phases[..., None]))
    u0 = AMPLITUDE / math.sqrt(NUM_WAVES) * (coefficients[..., None] * waves).sum(dim=-2)
    times = torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64)
    fine = cahn_hilliard_trajectory(u0, gamma=GAMMA, length=LENGTH, times=times, max_step=MAX_STEP)
    return fine[..., ::REFINEMENT].clone()


def make_cahn_hilliard(size: str, seed: int) -> ProblemInstance:
    """Make the learning problem of a size such as ``"64 points 16 channels batch 8"``."""
    return energy_instance(
        size,
        seed,
        data=separating_data,
        operator=second_difference,
        length=LENGTH,
        times=torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64),
        gain=GAIN,
    )


CAHN_HILLIARD = Problem(
    name="cahn-hilliard",
    source=(
        "Cahn-Hilliard by a learned energy, du/dt = G grad H (Matsubara et al., NeurIPS 2020, "
        "arXiv:1905.08604; NeurIPS 2021, arXiv:2102.09750, section 5.2); trajectories computed "
        "here by a pseudo-spectral solver, over a shorter time."
    ),
    version="1",
    data="computed",
    rtol=1e-5,
    atol=1e-6,
    first_step=2.5e-4,
    make=make_cahn_hilliard,
    published_size="50 points 200 channels batch 200",
)
