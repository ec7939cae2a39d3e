"""FFJORD's multi-scale flow of MNIST.

Left out: the end time of each flow, 1 here, which FFJORD learns.
"""

from __future__ import annotations

import re

import torch

from ..datasets.mnist import NUM_LEVELS, NUM_PIXELS, mnist_minibatch, mnist_source
from ..problem import Problem, ProblemInstance, parse_size
from .hutchinson import HutchinsonFlow, NegativeLogLikelihood, draw_signs
from .multiscale import MultiscaleVelocity, flow_places
from .stacked import StackedField

GAIN = 1.0
LOGIT_MARGIN = 1e-6  # keeps the logit of a black or white pixel finite


def make_mnist_flow(size: str, seed: int) -> ProblemInstance:
    """Make the flow of a size such as ``"28 pixels 2 x 64-64-64 batch 200"``.

    The numbers are the image's side (the middle of MNIST's images), the flows of each resolution
    of each scale, and the hidden channels. Pixels are dequantised and mapped by a logit.
    """
    network, batch_size = parse_size(size)
    match = re.fullmatch(r"([1-9]\d*) pixels ([1-9]\d*) x ([1-9]\d*(?:-[1-9]\d*)*)", network)
    if match is None:
        raise ValueError(
            f"network {network!r} is not of the form '<side> pixels <blocks> x <channels>', "
            "for example '28 pixels 2 x 64-64-64'"
        )
    side, num_blocks = int(match[1]), int(match[2])
    if side > NUM_PIXELS:
        raise ValueError(f"an image side of {side} pixels is more than the {NUM_PIXELS} there are")
    hidden_channels = tuple(int(channels) for channels in match[3].split("-"))
    generator = torch.Generator().manual_seed(seed)
    margin = (NUM_PIXELS - side) // 2
    middle = slice(margin, margin + side)
    images = mnist_minibatch(batch_size, generator)[:, middle, middle].flatten(1)
    uniform = torch.rand(images.shape, generator=generator, dtype=torch.float64)
    ink = (images + uniform) / NUM_LEVELS
    field = StackedField(
        [
            HutchinsonFlow(
                MultiscaleVelocity(places, hidden_channels, GAIN, generator),
                draw_signs(images.shape, generator),
            )
            for places in flow_places(side, num_blocks)
        ]
    )
    return ProblemInstance(
        field=field,
        y0=(
            torch.logit(LOGIT_MARGIN + (1 - 2 * LOGIT_MARGIN) * ink),
            torch.zeros(batch_size, dtype=torch.float64),
        ),
        t=field.t,
        loss=NegativeLogLikelihood(),
        batch_size=batch_size,
        jump_t=field.jump_t,
    )


def mnist_flow_problem() -> Problem:
    """Return the problem, with the data that are there now."""
    source = mnist_source()
    return Problem(
        name="cnf-mnist",
        source=(
            "Multi-scale continuous normalizing flow, FFJORD (Grathwohl et al., ICLR 2019, "
            "arXiv:1810.01367, appendix B), on MNIST"
            + ("." if source == "real" else "; images of its shape, as its files are not there.")
        ),
        version=f"1-{source}",
        data=source,
        rtol=1e-5,
        atol=1e-5,
        first_step=0.05,
        make=make_mnist_flow,
        published_size="28 pixels 2 x 64-64-64 batch 200",
    )


CNF_MNIST = mnist_flow_problem()
