"""What each planted run was found to be, one line each, written as soon as it is there.

A proof takes hours: killed, the same command goes on after the last verdict. A line that was cut is
named, and its run is made again.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "fault": str,
    "run": int,
    "exit_status": int,
    "worse": list,
    "seconds": (int, float),
    "load": (int, float),
}


class LedgerError(RuntimeError):
    """A ledger that another proof writes to; the message names it."""


@dataclass(frozen=True)
class Verdict:
    """What a comparison said of a planted fault.

    Attributes
    ----------
    kind : {"exact", "counted", "timed", "whole"}
        Exact metrics only, instructions beside them, seconds of the timed cases beside them, or a
        whole comparison as a user runs it.
    fault : str
        A fault's name.
    run : int
        From 1.
    exit_status : int
        Of the comparison: 0 nothing worse, 1 something, anything else is no verdict.
    worse : list of str
        What was called worse.
    seconds : float
        Wall time of the comparison.
    load : float
        The machine's load average when it had ended.
    """

    kind: str
    fault: str
    run: int
    exit_status: int
    worse: list[str]
    seconds: float
    load: float

    @property
    def place(self) -> tuple[str, str, int]:
        """Which of the planned runs it is."""
        return self.kind, self.fault, self.run


@dataclass
class Ledger:
    """The verdicts so far.

    Attributes
    ----------
    verdicts : list of Verdict
    warnings : list of str
        What could not be read.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _stream: IO[str] | None = None

    @property
    def lock(self) -> int:
        """The file descriptor that is locked, of a ledger that is open."""
        if self._stream is None:
            raise ValueError("a ledger that is only read has no lock: use open_ledger")
        return self._stream.fileno()

    def add(self, verdict: Verdict) -> None:
        """Write a verdict, at once."""
        self.verdicts.append(verdict)
        if self._stream is not None:
            self._stream.write(json.dumps(vars(verdict)) + "\n")
            self._stream.flush()


def read_ledger(file: Path) -> Ledger:
    """Read what can be read; a file that is not there is an empty ledger."""
    ledger = Ledger()
    text = file.read_bytes() if file.exists() else b""
    for number, line in enumerate(text.split(b"\n"), start=1):
        if not line.strip():
            continue
        verdict = _parse(line)
        if verdict is None:
            ledger.warnings.append(
                f"{file}: line {number} is cut or foreign; its run is made again"
            )
        elif verdict.place not in {each.place for each in ledger.verdicts}:
            ledger.verdicts.append(verdict)
    return ledger


@contextmanager
def open_ledger(file: Path) -> Iterator[Ledger]:
    """Go on with a ledger, or begin one.

    Raises
    ------
    LedgerError
        If another proof writes to it: both would make the same runs.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(
                f"{file}: another proof, or a comparison it left, still runs: wait for its end"
            ) from None
        ledger = read_ledger(file)
        if file.stat().st_size and not file.read_bytes().endswith(b"\n"):
            stream.write("\n")  # ends a line that was cut
        ledger._stream = stream
        yield ledger


def _parse(line: bytes) -> Verdict | None:
    try:
        plain: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, dict) or set(plain) != set(_TYPES):
        return None
    if not all(isinstance(plain[key], kinds) for key, kinds in _TYPES.items()):
        return None
    return Verdict(**plain)
