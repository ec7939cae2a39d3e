"""What surrounds a call of ``f`` without being given to it: autocast."""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch


class Autocast(NamedTuple):
    """Autocast's setting for one type of device."""

    device_type: str
    enabled: bool
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Ambient:
    """Settings of autocast at the time of a solve, to be in force wherever ``f`` is evaluated.

    Attributes
    ----------
    autocast : tuple of Autocast
        For the CPU, and for the state's device if that is another.
    """

    autocast: tuple[Autocast, ...]

    @staticmethod
    def now(device: torch.device) -> "Ambient":
        """Read the settings in force."""
        types = ("cpu",) if device.type == "cpu" else ("cpu", device.type)
        return Ambient(
            tuple(
                [
                    Autocast(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
                    for kind in types
                    if _is_available(kind)
                ]
            )
        )

    @property
    def differs(self) -> bool:
        """Whether autocast was on, or is now: elsewhere there is nothing to set."""
        return any(x.enabled or torch.is_autocast_enabled(x.device_type) for x in self.autocast)

    def in_force(self) -> AbstractContextManager[object]:
        """Set everything as it was, within a context.

        Autocast's cache of casted weights is not used: filled by an evaluation without a graph, it
        would cut the weights off from the graph of the next one that has a graph.
        """
        if not self.differs:
            return nullcontext()
        stack = ExitStack()
        for kind, enabled, dtype in self.autocast:
            if enabled or torch.is_autocast_enabled(kind):
                stack.enter_context(
                    torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False)
                )
        return stack


@lru_cache(maxsize=8)
def _is_available(kind: str) -> bool:
    return bool(torch.amp.is_autocast_available(kind))
