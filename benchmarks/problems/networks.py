"""The fully connected networks that several problems share."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .initial_weights import draw_uniform


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
        draw_uniform(self, gain, generator)
        with torch.no_grad():
            self.time_weight.uniform_(-gain, gain, generator=generator)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """Return dy/dt, shape (batch, widths[-1]), at time t and state y (batch, widths[0])."""
        hidden: Tensor = self.layers[0](y) + t * self.time_weight
        for layer in self.layers[1:]:
            hidden = layer(torch.tanh(hidden))
        return hidden


class Mlp(nn.Module):
    """Fully connected network without a notion of time.

    Parameters
    ----------
    widths : tuple of int
        Widths from input to output.
    activation : torch.nn.Module
        Applied between the layers, not after the last.
    gain : float
        Factor on the initial weights.
    generator : torch.Generator
        Source of the initial weights.
    has_last_bias : bool
        Whether the last layer has a bias. A potential needs none: its gradient loses it.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        activation: nn.Module,
        gain: float,
        generator: torch.Generator,
        *,
        has_last_bias: bool = True,
    ) -> None:
        super().__init__()
        layers = [nn.Linear(*ends, dtype=torch.float64) for ends in pairwise(widths[:-1])]
        last = nn.Linear(widths[-2], widths[-1], bias=has_last_bias, dtype=torch.float64)
        self.layers = nn.Sequential(
            *(part for layer in layers for part in (layer, activation)), last
        )
        draw_uniform(self.layers, gain, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape (..., widths[-1]), of inputs (..., widths[0])."""
        outputs: Tensor = self.layers(x)
        return outputs
