"""What of a trajectory is kept for the backward pass, where, and how much of it is made again."""

import os
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from symadj.adjoint.storage import Place
from symadj.errors import InvalidInputError

Checkpoints: TypeAlias = Literal["stages"] | int | None
"""What a caller may ask for: None, every accepted state; "stages", every stage state too; a number,
at most so many states at once."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan of what to keep.

    Attributes
    ----------
    keeps_stages : bool
        Whether every stage state is kept, so that nothing has to be replayed; otherwise states, of
        which a step's stages are made again.
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
        is_count = isinstance(checkpoints, int) and not isinstance(checkpoints, bool)
        if not (checkpoints is None or checkpoints == "stages" or (is_count and checkpoints >= 1)):
            raise InvalidInputError(
                f"checkpoints={checkpoints!r} is not known. Allowed are None (every accepted state "
                f'is kept), "stages" (every stage state too: faster, and more memory), and a '
                f"number of at least 1 (so many states at once: less memory, steps replayed)."
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
        return Schedule(
            keeps_stages=checkpoints == "stages",
            capacity=checkpoints if isinstance(checkpoints, int) else None,
            graphs=graphs,
            place="device" if offload is None else offload,
            dtype=dtype,
        )

    @property
    def is_stored(self) -> bool:
        """Whether states lie in a store of their own, rather than with autograd."""
        return self.capacity is not None or self.place != "device" or self.dtype is not None
