"""A latent ODE of irregularly observed spirals: an encoder, an ODE of the latent state, a decoder.

The encoder gives the initial state and the decoder belongs to the loss. Neither lies inside the
solver, so both keep their initial weights, and the gradient ends at the latent state they share.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .irregular_spirals import NOISE, Observations, observe_spirals
from .networks import Mlp
from .problem import Problem, ProblemInstance, parse_size, parse_widths
from .recognition import RecurrentEncoder

NUM_VALUES = 2
ENCODER_WIDTH = 25
DECODER_WIDTH = 20
GAIN = 2.0


class LatentField(nn.Module):
    """dz/dt = network(z), with ELU between the layers, autonomous."""

    def __init__(self, widths: tuple[int, ...], gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.network = Mlp(widths, nn.ELU(), gain, generator)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return dz/dt, shape (batch, num_latent)."""
        slope: Tensor = self.network(z)
        return slope


class DecodedLogLikelihood(nn.Module):
    """Negative log-likelihood of the observations under the decoded states, per observed value."""

    values: Tensor
    weights: Tensor

    def __init__(self, observations: Observations, decoder: nn.Module) -> None:
        super().__init__()
        self.register_buffer("values", observations.values)
        weights = observations.is_observed[..., None].expand_as(observations.values)
        self.register_buffer("weights", weights / weights.sum())
        self.decoder = decoder.requires_grad_(False)

    def forward(self, zs: Tensor) -> Tensor:
        """Return the scalar loss of latent states (num_times, batch, num_latent)."""
        errors: Tensor = (self.decoder(zs) - self.values) / NOISE
        constant = math.log(NOISE * math.sqrt(2 * math.pi))
        return 0.5 * (self.weights * errors.square()).sum() + constant


def make_latent_ode(size: str, seed: int) -> ProblemInstance:
    """Make the problem of a size such as ``"4-20-20-4 batch 100"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network)
    num_latent = widths[0]
    generator = torch.Generator().manual_seed(seed)
    observations = observe_spirals(batch_size, generator)
    encoder = RecurrentEncoder(NUM_VALUES, ENCODER_WIDTH, num_latent, 1.0, generator)
    decoder = Mlp((num_latent, DECODER_WIDTH, NUM_VALUES), nn.ReLU(), 1.0, generator)
    with torch.no_grad():
        mean, log_variance = encoder(*observations)
    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    return ProblemInstance(
        field=LatentField(widths, GAIN, generator),
        y0=mean + noise * torch.exp(log_variance / 2),
        t=observations.times,
        loss=DecodedLogLikelihood(observations, decoder),
        batch_size=batch_size,
    )


LATENT_ODE = Problem(
    name="latent-ode",
    source=(
        "Latent ODE with a recurrent encoder (Chen et al., NeurIPS 2018, arXiv:1806.07366, "
        "section 5; Rubanova et al., NeurIPS 2019, arXiv:1907.03907), on noisy spirals observed "
        "at irregular times."
    ),
    version="1",
    data="synthetic",
    rtol=1e-5,
    atol=1e-6,
    first_step=0.05,
    make=make_latent_ode,
    published_size="4-20-20-4 batch 1000",
)
