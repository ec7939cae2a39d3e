"""Machine instructions, counted by callgrind: the quiet companion of seconds.

The process that workers are forked from runs under valgrind, so that torch is imported there once
for both sides; that alone takes a minute. Counting is switched on in a worker, when it is warm:
everything else runs five times as fast.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .events import CACHES
from .launcher import Launcher
from .valgrind import is_known_here


def is_available() -> bool:
    """Whether valgrind is installed, and can be told what to count."""
    return shutil.which("valgrind") is not None and is_known_here()


class CountingLauncher(Launcher):
    """A launcher whose workers can count instructions.

    Attributes
    ----------
    dumps : str
        Folder into which callgrind writes.
    """

    def __init__(self, python: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="compare-callgrind-")
        self.dumps = self._folder.name
        super().__init__(
            python,
            (
                "valgrind",
                "-q",
                "--tool=callgrind",
                "--instr-atstart=no",
                "--vgdb=no",
                "--cache-sim=yes",
                *CACHES,
                f"--callgrind-out-file={Path(self.dumps) / 'out.%p'}",
            ),
            arguments=(),  # what takes a second elsewhere takes a minute here
        )

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()  # it has nothing to finish, and valgrind is slow to end
        super().close()
        self._folder.cleanup()
