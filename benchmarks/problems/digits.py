"""Real data: the 1,797 handwritten digits that ship inside scikit-learn, 8 x 8 pixels each.

Two works: an ODE classifier, and a continuous normalizing flow (FFJORD).
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .cnf.hutchinson import HutchinsonFlow, NegativeLogLikelihood, draw_signs
from .networks import TimeMlp
from .problem import Problem, ProblemInstance, parse_size, parse_widths

NUM_PIXELS = 64
NUM_CLASSES = 10
NUM_LEVELS = 17  # pixels count ink from 0 to 16
LOGIT_MARGIN = 0.05  # keeps the logit of a black or white pixel finite
CLASSIFIER_GAIN = 3.0
FLOW_GAIN = 3.0


@lru_cache(maxsize=1)
def digits() -> tuple[Tensor, Tensor]:
    """Return all images, float64 (1797, 64) with values 0..16, and their labels, int64 (1797,).

    The file is read from scikit-learn's folder, because importing scikit-learn takes longer than
    many a measurement, and asv would do it in every one of its processes.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "the digits lie in the package scikit-learn, which is not installed; "
            "install the project with its 'bench' extra"
        )
    file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    table = torch.from_numpy(np.loadtxt(file, delimiter=","))
    return table[:, :-1].contiguous(), table[:, -1].long()


def digits_minibatch(batch_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return different images, (batch_size, 64) with values 0..16, and their labels."""
    images, labels = digits()
    if batch_size > len(images):
        raise ValueError(f"batch {batch_size} is more than the {len(images)} digits there are")
    chosen = torch.randperm(len(images), generator=generator)[:batch_size]
    return images[chosen], labels[chosen]


class ReadoutCrossEntropy(nn.Module):
    """Cross-entropy of a linear readout of the final state.

    The readout belongs to the loss, not to the field: its gradient passes through no solver.
    """

    labels: Tensor
    weight: Tensor

    def __init__(self, labels: Tensor, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("labels", labels)
        weight = torch.randn(NUM_CLASSES, NUM_PIXELS, generator=generator, dtype=torch.float64)
        self.register_buffer("weight", weight / math.sqrt(NUM_PIXELS))

    def forward(self, ys: Tensor) -> Tensor:
        """Return the scalar loss of states (num_outputs, batch, 64)."""
        return nn.functional.cross_entropy(ys[-1] @ self.weight.mT, self.labels)


def make_classifier(size: str, seed: int) -> ProblemInstance:
    """Make the ODE classifier of a size such as ``"64-128-64 batch 128"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network, num_inputs=NUM_PIXELS)
    generator = torch.Generator().manual_seed(seed)
    images, labels = digits_minibatch(batch_size, generator)
    return ProblemInstance(
        field=TimeMlp(widths, CLASSIFIER_GAIN, generator),
        y0=images / (NUM_LEVELS - 1),
        t=torch.tensor([0.0, 1.0], dtype=torch.float64),
        loss=ReadoutCrossEntropy(labels, generator),
        batch_size=batch_size,
    )


def dequantized(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images on the real line: uniform noise added, then a logit, as in RealNVP.

    Dinh et al., ICLR 2017, section 4.1.
    """
    uniform = torch.rand(images.shape, generator=generator, dtype=torch.float64)
    ink = (images + uniform) / NUM_LEVELS
    return torch.logit(LOGIT_MARGIN + (1 - 2 * LOGIT_MARGIN) * ink)


def make_flow(size: str, seed: int) -> ProblemInstance:
    """Make the continuous normalizing flow of a size such as ``"64-64-64 batch 100"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network, num_inputs=NUM_PIXELS)
    generator = torch.Generator().manual_seed(seed)
    images, _ = digits_minibatch(batch_size, generator)
    x = dequantized(images, generator)
    noise = draw_signs(images.shape, generator)
    return ProblemInstance(
        field=HutchinsonFlow(TimeMlp(widths, FLOW_GAIN, generator), noise),
        y0=(x, torch.zeros(batch_size, dtype=torch.float64)),
        t=torch.tensor([0.0, 1.0], dtype=torch.float64),
        loss=NegativeLogLikelihood(),
        batch_size=batch_size,
    )


DIGITS_CLASSIFIER = Problem(
    name="digits-classifier",
    source=(
        "ODE-Net classifier (Chen et al., NeurIPS 2018, arXiv:1806.07366), fully connected, "
        "on the UCI optical handwritten digits that ship with scikit-learn."
    ),
    version="1",
    data="real",
    rtol=1e-5,
    atol=1e-6,
    first_step=0.05,
    make=make_classifier,
)
DIGITS_CNF = Problem(
    name="digits-cnf",
    source=(
        "Continuous normalizing flow with Hutchinson's trace (Grathwohl et al., ICLR 2019, "
        "arXiv:1810.01367) on the same digits, dequantised."
    ),
    version="1",
    data="real",
    rtol=1e-5,
    atol=1e-6,
    first_step=0.05,
    make=make_flow,
)
