"""What of a trajectory is kept for the backward pass, where, and how much of it is made again."""

import os
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from symadj.adjoint.storage import Place
from symadj.errors import InvalidInputError

Checkpoints: TypeAlias = Literal["stages", "activations"] | int | None
"""What a caller may ask for: None, every accepted state; "stages", every stage state too;
"activations", the graph of every evaluation; a number, at most so many states at once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan of what to keep.

    Attributes
    ----------
    keeps_stages : bool
        Whether every stage state is kept, so that nothing has to be replayed; otherwise states, of
        which a step's stages are made again.
    keeps_graphs : bool
        Whether the graph of every evaluation is kept from the forward pass, so that nothing at all
        is evaluated again.
    capacity : int or None
        The most states kept at once, that at the start among them; None for no bound.
    graphs : int
        How many stages of a step have their graph alive at once, when stages are made again: each
        beyond the first saves one evaluation a step.
    place : Place
        Where states are kept.
    dtype : torch.dtype or None
        In which precision, if not their own.
    """

    keeps_stages: bool = False
    keeps_graphs: bool = False
    capacity: int | None = None
    graphs: int = 1
    place: Place = "device"
    dtype: torch.dtype | None = None

    @staticmethod
    def of(
        checkpoints: Checkpoints,
        offload: Place | None = None,
        graphs: Any = 1,
        dtype: torch.dtype | None = None,
    ) -> "Schedule":
        """Read the caller's choice.

        Raises
        ------
        InvalidInputError
            If it is none of those there are.
        """
        is_count = (
            isinstance(checkpoints, int) and not isinstance(checkpoints, bool) and checkpoints >= 1
        )
        if not (checkpoints in (None, "stages", "activations") or is_count):
            raise InvalidInputError(
                f"checkpoints={checkpoints!r} is not known. Allowed are None (every accepted state "
                f'is kept), "stages" (every stage state too: faster, and more memory), '
                f'"activations" (what autograd saves of every evaluation: the time and memory of '
                f"backpropagation), and a number of at least 1 (so many states at once: less "
                f"memory, steps replayed)."
            )
        if not (offload in {None, "host", "disk"} or isinstance(offload, os.PathLike)):
            raise InvalidInputError(
                f"offload={offload!r} is not known. Allowed are None (states stay on their "
                f'device), "host" (pinned memory, for a solve on CUDA), "disk", and a folder as a '
                f"path object, such as pathlib.Path({offload!r})."
            )
        if not (isinstance(graphs, int) and graphs >= 1):
            raise InvalidInputError(
                f"options['graphs'] is {graphs!r}. Allowed is a number of at least 1: the stages "
                f"of a step whose graphs are alive at once."
            )
        if checkpoints == "activations":
            _check_alone(offload, graphs, dtype)
        return Schedule(
            keeps_stages=checkpoints == "stages",
            keeps_graphs=checkpoints == "activations",
            capacity=checkpoints if isinstance(checkpoints, int) else None,
            graphs=graphs,
            place="device" if offload is None else offload,
            dtype=dtype,
        )

    @property
    def is_stored(self) -> bool:
        """Whether states lie in a store of their own, rather than with autograd."""
        return self.capacity is not None or self.place != "device" or self.dtype is not None


def _check_alone(offload: Place | None, graphs: int, dtype: torch.dtype | None) -> None:
    """Raise where activations are to be kept in a way in which only states are."""
    given = {
        f"offload={offload!r}": offload is not None,
        f"options['graphs'] = {graphs}": graphs != 1,
        f"options['snapshot_dtype'] = {dtype}": dtype is not None,
    }
    for name, is_given in given.items():
        if is_given:
            raise InvalidInputError(
                f'{name} and checkpoints="activations" were given: that is for states, and '
                f"activations are autograd's. Leave it out (and make the call inside of "
                f"torch.autograd.graph.save_on_cpu() to have them in the host's memory), or take "
                f'checkpoints="stages".'
            )
