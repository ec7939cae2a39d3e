"""FFJORD's multi-scale flow of images, on a state that stays one flat vector of pixels.

A scale is a number of flows of the image, then a squeeze (each 2 x 2 square of pixels becomes four
channels), then as many flows of that; half of the channels are done then, the others go on to the
next scale. The last scale has neither squeeze nor second flows. Here the pixels never move: each
flow reads those that are its own, in the order in which squeezing would have put them, and leaves
the others at rest.

References
----------
Grathwohl et al., FFJORD, ICLR 2019, arXiv:1810.01367, appendix B; the scales are those of Dinh,
Sohl-Dickstein & Bengio, RealNVP, ICLR 2017, arXiv:1605.08803, section 3.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..initial_weights import draw_uniform
from ..time_convolution import TimeConv2d

MIN_SIDE = 4  # pixels of the last scale


class MultiscaleVelocity(nn.Module):
    """f(t, x) on some of a flat image's pixels: 3 x 3 convolutions with softplus between them.

    Parameters
    ----------
    places : Tensor, shape (channels, rows, columns), int64
        Where in x the pixels of this flow's image are; the others do not move.
    hidden_channels : tuple of int
        Channels of the hidden layers.
    gain : float
        Factor on the initial weights.
    generator : torch.Generator
        Source of the initial weights.
    """

    places: Tensor

    def __init__(
        self,
        places: Tensor,
        hidden_channels: tuple[int, ...],
        gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.shape = tuple(places.shape)
        self.register_buffer("places", places.flatten())
        channels = (self.shape[0], *hidden_channels, self.shape[0])
        self.layers = nn.ModuleList(TimeConv2d(*ends) for ends in pairwise(channels))
        draw_uniform(self, gain, generator)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return dx/dt, shape (batch, num_pixels), at x in that shape."""
        image = x[:, self.places].view(-1, *self.shape)
        hidden = self.layers[0](t, image)
        for layer in self.layers[1:]:
            hidden = layer(t, nn.functional.softplus(hidden))
        return torch.zeros_like(x).index_copy(1, self.places, hidden.flatten(1))


def flow_places(side: int, num_blocks: int) -> Iterator[Tensor]:
    """Yield, flow by flow, where the pixels of its image are in the flat square image.

    Parameters
    ----------
    side : int
        Pixels along a side; even, halved as often as there are scales.
    num_blocks : int
        Flows before, and again after, each squeeze.

    Yields
    ------
    Tensor, shape (channels, rows, columns), int64
    """
    places = torch.arange(side**2).view(1, side, side)
    while places.shape[1] // 2 >= MIN_SIDE:
        yield from [places] * num_blocks
        places = squeeze(places)
        yield from [places] * num_blocks
        places = places[: len(places) // 2]
    yield from [places] * num_blocks


def squeeze(image: Tensor) -> Tensor:
    """Turn each 2 x 2 square of pixels into four channels.

    Raises
    ------
    ValueError
        If a side is odd.
    """
    channels, rows, columns = image.shape
    if rows % 2 or columns % 2:
        raise ValueError(
            f"an image of {rows} x {columns} pixels cannot be squeezed; both must be even"
        )
    squares = image.reshape(channels, rows // 2, 2, columns // 2, 2)
    return squares.permute(0, 2, 4, 1, 3).reshape(4 * channels, rows // 2, columns // 2)
