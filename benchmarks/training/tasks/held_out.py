"""Which samples are held out."""

from __future__ import annotations

import torch
from torch import Tensor

from .task import generator_of

HELD_OUT = 0.2  # of the samples


def split(*samples: Tensor) -> tuple[Tensor, ...]:
    """Split tensors of samples alike: the training part of each, then the held-out part of each.

    The same samples are held out whatever the seed of the training.
    """
    order = torch.randperm(len(samples[0]), generator=generator_of(0, 0))
    num_train = len(order) - round(HELD_OUT * len(order))
    parts = (order[:num_train], order[num_train:])
    return tuple(tensor[part] for part in parts for tensor in samples)
