"""What is drawn where a data set's files are absent: a Gaussian mixture, standardised."""

from __future__ import annotations

import math

import torch
from torch import Tensor

NUM_COMPONENTS = 8
SPREAD = 1.0  # of the components' means, in units of the components' own widths


def draw_gaussian_mixture(dim: int, num_samples: int, generator: torch.Generator) -> Tensor:
    """Draw samples of a mixture with mean 0 and variance 1 in every coordinate.

    The mixture is fixed by its dimension: means and correlated components are drawn from a seed
    of their own. Only the samples come from the generator.

    Returns
    -------
    Tensor, shape (num_samples, dim), float64
    """
    own = torch.Generator().manual_seed(dim)
    means = SPREAD * torch.randn(NUM_COMPONENTS, dim, generator=own, dtype=torch.float64)
    factors = torch.randn(NUM_COMPONENTS, dim, dim, generator=own, dtype=torch.float64)
    factors = factors / math.sqrt(dim)
    variances = factors.square().sum(dim=-1).mean(dim=0) + means.var(dim=0, correction=0)
    component = torch.randint(NUM_COMPONENTS, (num_samples,), generator=generator)
    normal = torch.randn(num_samples, dim, generator=generator, dtype=torch.float64)
    samples = means[component]
    for c, factor in enumerate(factors):
        samples[component == c] += normal[component == c] @ factor.mT
    return (samples - means.mean(dim=0)) / variances.sqrt()
