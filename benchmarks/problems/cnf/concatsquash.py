"""FFJORD's fully connected velocity: layers that time scales and shifts."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..initial_weights import draw_uniform


class ConcatSquashLinear(nn.Module):
    """(W x + b) sigmoid(t w + c) + t v: a linear layer, scaled and shifted by the time."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_inputs, num_outputs, dtype=torch.float64)
        self.gate = nn.Linear(1, num_outputs, dtype=torch.float64)
        self.shift = nn.Linear(1, num_outputs, bias=False, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the outputs, shape (batch, num_outputs), of inputs (batch, num_inputs)."""
        time = t.to(x.dtype).reshape(1, 1)
        outputs: Tensor = self.linear(x) * torch.sigmoid(self.gate(time)) + self.shift(time)
        return outputs


class ConcatSquashVelocity(nn.Module):
    """f(t, x) of concatsquash layers with an activation between them.

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

    References
    ----------
    Grathwohl et al., FFJORD, ICLR 2019, arXiv:1810.01367, appendix B.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        activation: nn.Module,
        gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.layers = nn.ModuleList(ConcatSquashLinear(*ends) for ends in pairwise(widths))
        draw_uniform(self, gain, generator)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return dx/dt, shape (batch, widths[-1]), at x (batch, widths[0])."""
        hidden: Tensor = self.layers[0](t, x)
        for layer in self.layers[1:]:
            hidden = layer(t, self.activation(hidden))
        return hidden
