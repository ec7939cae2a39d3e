"""Starting workers, and talking to them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .priority import hurry
from .worker import WARM

HARNESS = Path(__file__).resolve().parents[2]
"""The folder that `benchmarks` lies in: the same benchmark code measures both sides."""

START_SECONDS = 600.0
REQUEST_SECONDS = 300.0


class WorkerError(RuntimeError):
    """A worker could not be started, raised, ended or hung; the message says which, and why."""


class Worker:
    """One forked process with the packages of one side, or of several.

    Attributes
    ----------
    pid : int or None
        Once it has started.
    origins : dict from side to dict from package to file
        Where the packages under test were imported from.
    """

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self._connection = connection
        self._stream = connection.makefile("rwb")
        self._log = log
        self.pid: int | None = None
        self.origins: dict[str, dict[str, str]] = {}

    def start(self, sides: Mapping[str, Sequence[str]], seed: int) -> None:
        """Put each side's packages in front and import them."""
        plain = {name: list(paths) for name, paths in sides.items()}
        started = self.ask(do="start", sides=plain, seed=seed)
        self.pid, self.origins = started["pid"], started["origins"]

    def ask(self, timeout_seconds: float = REQUEST_SECONDS, **request: Any) -> Any:
        """Have something done, and return what came out.

        Raises
        ------
        WorkerError
            If it raised there, the process ended, or it took too long.
        """
        self._connection.settimeout(timeout_seconds)
        try:
            self._stream.write(json.dumps(request).encode() + b"\n")
            self._stream.flush()
            line = self._stream.readline()
        except TimeoutError as error:
            self.close()
            raise WorkerError(
                f"no answer to {request['do']!r} within {timeout_seconds:.0f} s"
            ) from error
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise WorkerError(f"the process ended during {request['do']!r}{_tail(self._log)}")
        answer = json.loads(line)
        if "failed" in answer:
            raise WorkerError(answer["failed"])
        return answer["ok"]

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._connection.close()
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Launcher:
    """A process that has imported torch, from which workers are forked.

    Parameters
    ----------
    python : str
        The interpreter, of the environment to measure in.
    prefix : sequence of str
        What is to run it, such as valgrind.
    arguments : sequence of str
        Of `benchmarks.compare.worker`.
    """

    def __init__(
        self, python: str, prefix: Sequence[str] = (), arguments: Sequence[str] = (WARM,)
    ) -> None:
        descriptor, name = tempfile.mkstemp(prefix="compare-", suffix=".log")
        self._log = Path(name)
        self._control, other = socket.socketpair()
        # No PYTHONPATH of the caller's, and no user site: only the environment and the harness.
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(HARNESS),
            "PYTHONNOUSERSITE": "1",
        }
        with other, os.fdopen(descriptor, "wb") as log:
            self._process = subprocess.Popen(
                [*prefix, python, "-P", "-m", "benchmarks.compare.worker", *arguments],
                stdin=other.fileno(),
                stdout=log,
                stderr=log,
                env=environment,
                cwd=HARNESS,
                start_new_session=True,  # which `hurry` wants
            )
        hurry(self._process.pid)  # before it imports torch, which is the longest part
        self._is_ready = False

    def has_answered(self) -> bool:
        """Whether `wait` would return, or raise, at once."""
        return self._is_ready or bool(select.select([self._control], [], [], 0)[0])

    def wait(self, timeout_seconds: float = START_SECONDS) -> None:
        """Wait until workers can be had.

        Raises
        ------
        WorkerError
            If the process ended, or did not get there in time.
        """
        if self._is_ready:
            return
        self._control.settimeout(max(timeout_seconds, 0.01))
        try:
            self._is_ready = self._control.recv(6) == b"ready\n"
        except TimeoutError as error:
            waited = f"not started within {timeout_seconds:.0f} s"
            raise WorkerError(
                waited if timeout_seconds > 0 else "not started before the time was spent"
            ) from error
        except OSError:
            pass
        if not self._is_ready:
            raise WorkerError(f"the process that imports torch ended{_tail(self._log)}")

    @contextlib.contextmanager
    def worker(
        self, sides: Mapping[str, Sequence[str]], seed: int | None = None
    ) -> Iterator[Worker]:
        """Fork a worker with the packages of a side, or of several; it ends with the context.

        Parameters
        ----------
        sides : mapping from name to sequence of str
            Paths, put in front of the import path.
        seed : int, optional
            Of the heap's random shift.
        """
        self.wait()
        here, there = socket.socketpair()
        worker = Worker(here, self._log)
        try:
            with there:
                socket.send_fds(self._control, [b"f"], [there.fileno()])
            worker.start(sides, random.getrandbits(32) if seed is None else seed)
            yield worker
        except OSError as error:
            raise WorkerError(f"no worker can be started: {error}{_tail(self._log)}") from error
        finally:
            worker.close()

    def close(self) -> None:
        """End the process; workers end with their contexts."""
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.unlink(missing_ok=True)

    def __enter__(self) -> Launcher:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def _tail(log: Path) -> str:
    """Return the end of what a process had to say."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return ": " + "\n".join(lines[-10:]) if lines else ""
