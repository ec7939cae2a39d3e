"""What of a trajectory is kept for the backward pass."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from symadj.errors import InvalidInputError

Checkpoints: TypeAlias = Literal["stages"] | None
"""What a caller may ask for: None, every accepted state; "stages", every stage state too."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan of what to keep.

    Attributes
    ----------
    keeps_stages : bool
        Whether every stage state is kept, so that nothing has to be replayed; otherwise every
        accepted state, from which a step's stages are made again.
    """

    keeps_stages: bool

    @staticmethod
    def of(checkpoints: Checkpoints) -> "Schedule":
        """Read the caller's choice.

        Raises
        ------
        InvalidInputError
            If it is none of those there are.
        """
        if checkpoints is None:
            return Schedule(keeps_stages=False)
        if checkpoints == "stages":
            return Schedule(keeps_stages=True)
        raise InvalidInputError(
            f"checkpoints={checkpoints!r} is not known. Allowed are None (every accepted state is "
            f'kept) and "stages" (every stage state too: faster, and more memory).'
        )
