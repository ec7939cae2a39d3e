"""The fully connected vector field that several problems share."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


class TimeMlp(nn.Module):
    """Fully connected vector field f(t, y) with tanh between its layers.

    The time enters as one more input of the first layer, written as a bias that grows with t
    because that needs no concatenated copy of the state.

    Parameters
    ----------
    widths : tuple of int
        Widths from input to output.
    gain : float
        Factor on the initial weights: what makes the dynamics slow or fast, and with it the
        number of steps that an adaptive solver takes.
    generator : torch.Generator
        Source of the initial weights.
    """

    def __init__(self, widths: tuple[int, ...], gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out, dtype=torch.float64) for fan_in, fan_out in pairwise(widths)
        )
        self.time_weight = nn.Parameter(torch.empty(widths[1], dtype=torch.float64))
        with torch.no_grad():
            for layer in self.layers:
                assert isinstance(layer, nn.Linear)
                bound = gain / math.sqrt(layer.in_features)
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
            self.time_weight.uniform_(-gain, gain, generator=generator)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Return dy/dt, shape (batch, widths[-1]), at time t and state y (batch, widths[0])."""
        hidden: Tensor = self.layers[0](y) + t * self.time_weight
        for layer in self.layers[1:]:
            hidden = layer(torch.tanh(hidden))
        return hidden
