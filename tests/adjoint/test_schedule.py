"""What callers may ask to be kept, and how it is read."""

from pathlib import Path

import pytest
import torch

from symadj.adjoint.schedule import Schedule
from symadj.errors import InvalidInputError


@pytest.mark.parametrize(
    ("checkpoints", "keeps_stages", "keeps_graphs", "capacity"),
    [
        (None, False, False, None),
        ("stages", True, False, None),
        ("activations", False, True, None),
        (1, False, False, 1),
        (7, False, False, 7),
    ],
)
def test_checkpoints(checkpoints, keeps_stages, keeps_graphs, capacity):
    found = Schedule.of(checkpoints)
    assert found == Schedule(keeps_stages, keeps_graphs, capacity, 1, "device", None)
    assert found == Schedule.of(checkpoints, None, 1, None)


@pytest.mark.parametrize("checkpoints", [0, -1, True, 1.0, "stage"])
def test_other_checkpoints_are_refused(checkpoints):
    with pytest.raises(InvalidInputError, match="checkpoints="):
        Schedule.of(checkpoints)


@pytest.mark.parametrize("place", ["host", "disk", Path("a folder")])
def test_places(place):
    assert Schedule.of(None, place).place == place


@pytest.mark.parametrize("place", ["device", "a folder", 3])
def test_other_places_are_refused(place):
    with pytest.raises(InvalidInputError, match="offload="):
        Schedule.of(None, place)


def test_graphs():
    assert [Schedule.of(None, graphs=graphs).graphs for graphs in (1, 2)] == [1, 2]
    for graphs in (0, 1.0):
        with pytest.raises(InvalidInputError, match="'graphs'"):
            Schedule.of(None, graphs=graphs)


def test_it_is_stored_if_anything_is_asked_of_the_storing():
    assert not Schedule().is_stored
    assert not Schedule().keeps_stages
    assert not Schedule.of("stages").is_stored
    assert Schedule.of(3).is_stored
    assert Schedule.of(None, "host").is_stored
    assert Schedule.of(None, dtype=torch.float16).is_stored
    assert Schedule().graphs == 1
