"""A convolution that sees the time, as ODE-Nets for images have."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TimeConv2d(nn.Module):
    """3 x 3 convolution of an image and one more channel, the time; the image keeps its size."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(num_inputs + 1, num_outputs, 3, padding=1, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the outputs (batch, num_outputs, rows, columns) of x in that form."""
        time = t.to(x.dtype).expand_as(x[:, :1])
        outputs: Tensor = self.convolution(torch.cat((time, x), dim=1))
        return outputs
