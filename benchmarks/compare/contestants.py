"""Both sides of a comparison, and where their workers are forked."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from .builds import Build
from .launcher import Launcher
from .work import Work, to_plain

Launchers = Mapping[str, Launcher]


@dataclass(frozen=True)
class Contestants:
    """Both sides, built, and the method that each of them runs."""

    builds: Mapping[str, Build]
    methods: Mapping[str, str]

    def plain(self, work: Work, side: str) -> dict[str, object]:
        """Return a work as this side does it, for a worker."""
        return to_plain(work.by(self.methods[side]))


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)
