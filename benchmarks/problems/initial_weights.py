"""Initial weights, drawn from a generator of their own: the same on every run and machine."""

from __future__ import annotations

import math

import torch
from torch import nn


def draw_uniform(module: nn.Module, gain: float, generator: torch.Generator) -> None:
    """Draw weights and biases of all linear and convolutional layers.

    Uniform within gain / sqrt(fan-in): with a gain of 1, what PyTorch's own layers start with. A
    larger gain makes the dynamics faster, and an adaptive solver take more steps.

    Parameters
    ----------
    module : torch.nn.Module
        Its layers are filled in place, in the order in which they were registered.
    gain : float
        Factor on the bound.
    generator : torch.Generator
        Source of the numbers.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            bound = gain / math.sqrt(layer.weight[0].numel())
            with torch.no_grad():
                for parameter in layer.parameters(recurse=False):
                    parameter.uniform_(-bound, bound, generator=generator)
