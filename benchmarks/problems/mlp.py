"""The plain MLP family, for the axes: tableau order, network size, number of steps, checkpoints.

Inputs and targets are drawn at random: nothing is learned here, the work is only the work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .networks import TimeMlp
from .problem import Problem, ProblemInstance, parse_size, parse_widths

GAIN = 3.0
DURATION = 2.0


class FinalSquaredError(nn.Module):
    """Half the squared distance of the final state to a target, averaged over the batch."""

    target: Tensor

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.register_buffer("target", target)

    def forward(self, ys: Tensor) -> Tensor:
        """Return the scalar loss of states (num_outputs, batch, width)."""
        return 0.5 * (ys[-1] - self.target).square().sum(dim=-1).mean()


def make_mlp(size: str, seed: int) -> ProblemInstance:
    """Make an MLP problem of a size such as ``"2-50-2 batch 20"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network)
    generator = torch.Generator().manual_seed(seed)
    y0, target = torch.randn(2, batch_size, widths[0], generator=generator, dtype=torch.float64)
    return ProblemInstance(
        field=TimeMlp(widths, GAIN, generator),
        y0=y0,
        t=torch.tensor([0.0, DURATION], dtype=torch.float64),
        loss=FinalSquaredError(target),
        batch_size=batch_size,
    )


def _mlp_problem(name: str) -> Problem:
    return Problem(
        name=name,
        source="Fully connected tanh vector field on random inputs, two time units.",
        version="1",
        data="synthetic",
        rtol=1e-4,
        atol=1e-5,
        first_step=0.05,
        make=make_mlp,
    )


MLP_ORDER = _mlp_problem("mlp-order")
MLP_SIZE = _mlp_problem("mlp-size")
MLP_STEPS = _mlp_problem("mlp-steps")
MLP_CHECKPOINTS = _mlp_problem("mlp-checkpoints")
MLP_OVERHEAD = _mlp_problem("mlp-overhead")
