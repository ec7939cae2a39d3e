import gzip
import struct

import pytest
import torch

from benchmarks.problems.datasets.mnist import (
    IMAGES,
    mnist_minibatch,
    mnist_source,
    parse_idx_images,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def idx(images):
    """Return an IDX file's bytes."""
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.numpy().tobytes()


@pytest.fixture
def images():
    return torch.randint(256, (5, 28, 28), generator=seeded(0), dtype=torch.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_are_those_of_the_file(suffix, images, data_folder):
    (data_folder / "mnist").mkdir()
    content = gzip.compress(idx(images)) if suffix else idx(images)
    (data_folder / "mnist" / f"{IMAGES}{suffix}").write_bytes(content)
    assert mnist_source() == "real"
    batch = mnist_minibatch(5, seeded(0))
    assert batch.dtype == torch.float64
    assert {tuple(image.flatten().tolist()) for image in batch} == {
        tuple(image.flatten().tolist()) for image in images
    }
    with pytest.raises(ValueError, match="more than the 5 images"):
        mnist_minibatch(6, seeded(0))


def test_without_files_images_are_drawn(no_data):
    assert mnist_source() == "synthetic"
    batch = mnist_minibatch(3, seeded(0))
    assert batch.shape == (3, 28, 28)
    assert torch.equal(batch, batch.floor())
    assert batch.min() >= 0
    assert batch.max() <= 255
    assert torch.equal(batch, mnist_minibatch(3, seeded(0)))


def test_an_empty_folder_is_a_mistake(data_folder):
    (data_folder / "mnist").mkdir()
    with pytest.raises(FileNotFoundError, match=f"{IMAGES} is not there"):
        mnist_minibatch(1, seeded(0))


def test_other_files_are_refused(images):
    with pytest.raises(ValueError, match="begins with"):
        parse_idx_images(b"\x00\x00\x08\x01" + bytes(20))  # labels
    with pytest.raises(ValueError, match="is it whole"):
        parse_idx_images(idx(images)[:-1])
