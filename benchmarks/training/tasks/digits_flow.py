"""A continuous normalizing flow of real digits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...problems import ProblemInstance
from ...problems.cnf.hutchinson import HutchinsonFlow, NegativeLogLikelihood, draw_signs
from ...problems.digits import DIGITS_CNF, NUM_PIXELS, dequantized, digits
from ...problems.networks import TimeMlp
from ...problems.problem import parse_widths
from .held_out import split
from .task import Task, TaskData, chosen_samples, generator_of

GAIN = 1.0
NOISE = 10**6  # numbers the generators of noise, apart from those of the order


def make(network: str, batch_size: int, seed: int) -> TaskData:
    """Make the flow of widths such as ``"64-64-64"``."""
    train, held_out = split(digits()[0])

    def instance(trained: nn.Module, images: Tensor, generator: torch.Generator) -> ProblemInstance:
        y0 = dequantized(images, generator)
        return ProblemInstance(
            field=HutchinsonFlow(trained, draw_signs(y0.shape, generator)),
            y0=(y0, torch.zeros(len(y0), dtype=torch.float64)),
            t=torch.tensor([0.0, 1.0], dtype=torch.float64),
            loss=NegativeLogLikelihood(),
            batch_size=len(y0),
        )

    def batch(trained: nn.Module, iteration: int) -> ProblemInstance:
        images = train[chosen_samples(len(train), batch_size, seed, iteration)]
        return instance(trained, images, generator_of(seed, NOISE + iteration))

    widths = parse_widths(network, num_inputs=NUM_PIXELS)
    return TaskData(
        trained=TimeMlp(widths, GAIN, generator_of(seed, 0)),
        batch=batch,
        held_out=lambda trained: instance(trained, held_out, generator_of(0, 0)),
        num_train=len(train),
        num_held_out=len(held_out),
    )


DIGITS_FLOW = Task(
    name=DIGITS_CNF.name,
    source=DIGITS_CNF.source,
    data="real",
    make=make,
    tableau="dopri5",
    learning_rate=0.01,
    first_step=DIGITS_CNF.first_step,
)
