"""Every figure is written down as it comes, one JSON object a line: nothing measured is lost.

A comparison that was ended half-way is continued by the next one of the same two sides on the same
machine; a finished one is left alone. Two at once write to a file each, and are told of each other.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

SCHEMA = 2
Record = dict[str, Any]


class JournalError(ValueError):
    """A file that is no journal; the message names it and says what it lacks."""


@dataclass
class Journal:
    """The records of one comparison.

    Attributes
    ----------
    file : Path
    header : dict
        What was compared, where and when.
    records : list of dict
        In the order in which they came.
    warnings : list of str
        What could not be read.
    """

    file: Path
    header: Record
    records: list[Record] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _stream: IO[str] | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the comparison came to its end."""
        return any(record["kind"] == "done" for record in self.records)

    def add(self, kind: str, **values: Any) -> None:
        """Write a record, at once."""
        record = {"kind": kind, **values}
        self.records.append(record)
        if self._stream is not None:
            self._stream.write(_line(record))
            self._stream.flush()

    def of(self, kind: str, **values: Any) -> Iterator[Record]:
        """Return the records of a kind that have these values."""
        for record in self.records:
            if record["kind"] == kind and all(record.get(k) == v for k, v in values.items()):
                yield record


def read_journal(file: Path) -> Journal:
    """Read what can be read of a journal.

    Raises
    ------
    JournalError
        If it cannot be opened, or does not begin with a journal's header.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{file}: cannot be read ({error.strerror})") from error
    header = _parse(lines[0])
    if header is None or not _is_header(header):
        raise JournalError(
            f"{file}: no comparison of schema {SCHEMA} (its first line is not the header of one)"
        )
    journal = Journal(file, header)
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        record = _parse(line)
        if record is None or not _is_complete(record):
            journal.warnings.append(f"{file}: line {number} is cut or foreign, and left out")
        else:
            journal.records.append(record)
    return journal


@contextmanager
def open_journal(folder: Path, header: Record) -> Iterator[Journal]:
    """Continue the unfinished journal of the same comparison, or begin one.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    header : dict
        Everything but the date decides whether a comparison is the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(folder.glob("*.jsonl")):
        try:
            journal = read_journal(file)
        except JournalError:
            continue  # not ours to touch
        same = {**journal.header, "date": ""} == {**_plain(header), **_FIXED, "date": ""}
        if not same or journal.is_finished:
            continue
        with file.open("a", encoding="utf-8") as stream:
            if not _lock(stream):
                continue  # of a comparison that runs now
            stream.write("\n")  # ends a line that was cut
            journal._stream = stream
            yield journal
        return
    date = datetime.now(UTC).isoformat(timespec="seconds")
    full = {**header, **_FIXED, "date": date}
    name = f"{date.replace(':', '')[:17]}-{os.getpid()}-{len(list(folder.iterdir()))}.jsonl"
    with (folder / name).open("x", encoding="utf-8") as stream:
        _lock(stream)
        stream.write(_line(full))
        stream.flush()
        yield Journal(folder / name, _plain(full), _stream=stream)


_FIXED = {"kind": "header", "schema": SCHEMA}
_NEEDED = {
    "exact": {"work", "side"},
    "instructions": {"work", "side", "values"},
    "round": {"work", "try", "launch", "blocks"},
    "note": {"text"},
    "done": set(),
}


def note_others(journal: Journal, since: float) -> None:
    """Note, once each, what other comparisons run in the folder, or wrote to it since a time.

    Parameters
    ----------
    journal : Journal
    since : float
        Seconds since the epoch, of the own start: others may begin, and end, after it.
    """
    for file in sorted(journal.file.parent.glob("*.jsonl")):
        if file == journal.file:
            continue
        with file.open("rb") as stream:
            is_other = not _lock(stream) or os.fstat(stream.fileno()).st_mtime > since
        text = f"another comparison ran at the same time: {file.name}"
        if is_other and not any(journal.of("note", text=text)):
            journal.add("note", text=text)


def _lock(stream: IO[Any]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _line(record: Record) -> str:
    return json.dumps(_plain(record), allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Return the value as JSON gives it back: NaN and infinity, which it lacks, become null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _is_header(header: Record) -> bool:
    works, sides = header.get("works"), (header.get("base"), header.get("head"))
    return (
        header.get("kind") == "header"
        and header.get("schema") == SCHEMA
        and isinstance(works, list)
        and all(isinstance(work, str) for work in works)
        and all(isinstance(side, dict) and isinstance(side.get("label"), str) for side in sides)
    )


def _is_complete(record: Record) -> bool:
    """Whether a record has what its kind needs, each of the type that it is read as."""
    needed = _NEEDED.get(str(record.get("kind")))
    if needed is None or not needed <= set(record):
        return False
    if record["kind"] == "exact" and not {"values", "failure"} & set(record):
        return False
    return all(is_right(record[key]) for key, is_right in _TYPES.items() if key in record)


def _is_figures(value: object) -> bool:
    return isinstance(value, dict) and all(
        each is None or (isinstance(each, int | float) and not isinstance(each, bool))
        for each in value.values()
    )


_TYPES: dict[str, Callable[[object], bool]] = {
    "values": _is_figures,
    "failure": lambda value: isinstance(value, str) and bool(value.strip()),
    "text": lambda value: isinstance(value, str),
    "work": lambda value: isinstance(value, str),
    "side": lambda value: value in ("base", "head"),
    "launch": lambda value: isinstance(value, int),
}
