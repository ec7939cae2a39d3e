"""The spiral demonstration: a small network learns a cubic oscillator from pieces of its path."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from .losses import AbsoluteTrajectoryError
from .networks import Mlp
from .problem import Problem, ProblemInstance, parse_size, parse_widths
from .rk4 import rk4_states

MATRIX = ((-0.1, 2.0), (-2.0, -0.1))
START = (2.0, 0.0)
DURATION = 25.0
NUM_POINTS = 1000  # of the path
PIECE_LENGTH = 10  # points that a sample is to follow
MAX_STEP = 0.005
GAIN = 1.0


class CubicField(nn.Module):
    """dy/dt = network(y³), autonomous."""

    def __init__(self, widths: tuple[int, ...], gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.network = Mlp(widths, nn.Tanh(), gain, generator)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Return dy/dt, shape (batch, 2)."""
        slope: Tensor = self.network(y**3)
        return slope


@lru_cache(maxsize=1)
def spiral_path() -> tuple[Tensor, Tensor]:
    """Return the times, (NUM_POINTS,), and the path of dy/dt = y³ A, (NUM_POINTS, 2), float64."""
    times = torch.linspace(0.0, DURATION, NUM_POINTS, dtype=torch.float64)
    matrix = torch.tensor(MATRIX, dtype=torch.float64)
    states = rk4_states(
        lambda y: y**3 @ matrix,
        torch.tensor(START, dtype=torch.float64),
        times=times,
        max_step=MAX_STEP,
    )
    return times, torch.stack(states)


def make_spiral(size: str, seed: int) -> ProblemInstance:
    """Make the problem of a size such as ``"2-50-2 batch 20"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network, num_inputs=2)
    num_starts = NUM_POINTS - PIECE_LENGTH
    if batch_size > num_starts:
        raise ValueError(
            f"batch {batch_size} is more than the {num_starts} pieces that the path has"
        )
    times, path = spiral_path()
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randperm(num_starts, generator=generator)[:batch_size]
    pieces = path[starts + torch.arange(PIECE_LENGTH)[:, None]]
    return ProblemInstance(
        field=CubicField(widths, GAIN, generator),
        y0=pieces[0].clone(),
        t=times[:PIECE_LENGTH].clone(),
        loss=AbsoluteTrajectoryError(pieces),
        batch_size=batch_size,
    )


SPIRAL = Problem(
    name="spiral",
    source=(
        "Demonstration of the torchdiffeq package: a spiral, learned by a network of its cubes "
        "(Chen et al., NeurIPS 2018, arXiv:1806.07366); its path computed here."
    ),
    version="1",
    data="computed",
    rtol=1e-7,
    atol=1e-9,
    first_step=0.01,
    make=make_spiral,
    published_size="2-50-2 batch 20",
)
