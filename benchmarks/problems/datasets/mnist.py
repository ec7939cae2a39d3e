"""MNIST's training images, from the IDX files in which they are published.

References
----------
LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998, doi:10.1109/5.726791.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .data_root import DataSource, data_root
from .files import present
from .gaussian_mixture import draw_gaussian_mixture

FOLDER = "mnist"
IMAGES = "train-images-idx3-ubyte"
NUM_PIXELS = 28  # along a side
NUM_LEVELS = 256
BYTES_IN_3_DIMENSIONS = b"\x00\x00\x08\x03"


def mnist_source() -> DataSource:
    """Return whether the files' folder is there, or images are drawn in their stead."""
    root = data_root()
    return "synthetic" if root is None or not (root / FOLDER).is_dir() else "real"


def mnist_minibatch(batch_size: int, generator: torch.Generator) -> Tensor:
    """Return images, (batch_size, 28, 28), float64 with whole values 0..255.

    Drawn ones are a Gaussian mixture, squeezed into the range of the pixels.
    """
    root = data_root()
    if root is None or mnist_source() == "synthetic":
        normal = draw_gaussian_mixture(NUM_PIXELS**2, batch_size, generator)
        return (torch.sigmoid(normal) * NUM_LEVELS).floor().view(-1, NUM_PIXELS, NUM_PIXELS)
    images = _training_images(root / FOLDER)
    if batch_size > len(images):
        raise ValueError(f"batch {batch_size} is more than the {len(images)} images there are")
    chosen = torch.randperm(len(images), generator=generator)[:batch_size]
    return images[chosen].to(torch.float64)


@lru_cache(maxsize=1)
def _training_images(folder: Path) -> Tensor:
    compressed = folder / f"{IMAGES}.gz"
    if compressed.is_file():
        content = gzip.decompress(compressed.read_bytes())
    else:
        content = present(folder / IMAGES).read_bytes()
    return torch.from_numpy(parse_idx_images(content).copy())


def parse_idx_images(content: bytes) -> np.ndarray:
    """Return the images, (num_images, rows, columns), uint8, of an IDX file.

    Raises
    ------
    ValueError
        If it holds anything else, or more or less than it says.
    """
    if content[:4] != BYTES_IN_3_DIMENSIONS:
        raise ValueError(
            f"the file begins with {content[:4]!r}; an IDX file of images begins with "
            f"{BYTES_IN_3_DIMENSIONS!r}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">u4", count=3, offset=4))
    pixels = np.frombuffer(content, dtype=np.uint8, offset=16)
    if pixels.size != np.prod(shape):
        raise ValueError(
            f"the file says that it holds {shape} pixels, and holds {pixels.size}; is it whole?"
        )
    return pixels.reshape(shape)
