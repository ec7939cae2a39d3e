"""Machine instructions, counted by callgrind: the quiet companion of seconds.

The process that workers are forked from runs under valgrind, so that torch is imported there once
for both sides; that alone takes a minute. Counting is switched on only then.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .launcher import Launcher, WorkerError

CONTROL_SECONDS = 60


def is_available() -> bool:
    """Whether valgrind and its control program are installed."""
    return shutil.which("valgrind") is not None and shutil.which("callgrind_control") is not None


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
        self._is_counting = False
        super().__init__(
            python,
            (
                "valgrind",
                "-q",
                "--tool=callgrind",
                "--instr-atstart=no",
                "--collect-atstart=no",
                f"--callgrind-out-file={Path(self.dumps) / 'out.%p'}",
            ),
        )

    def wait(self, timeout_seconds: float = 600.0) -> None:
        """Wait until workers can be had, and switch the counting on."""
        super().wait(timeout_seconds)
        if self._is_counting:
            return
        try:
            done = subprocess.run(
                ["callgrind_control", "--instr=on", str(self._process.pid)],
                capture_output=True,
                text=True,
                check=False,
                timeout=CONTROL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise WorkerError("callgrind_control got no answer from valgrind") from error
        if "OK" not in done.stdout:
            raise WorkerError(f"callgrind_control: {(done.stdout + done.stderr).strip()}")
        self._is_counting = True

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()  # it has nothing to finish, and valgrind is slow to end
        super().close()
        self._folder.cleanup()
