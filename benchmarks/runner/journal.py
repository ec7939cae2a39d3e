"""The journal: one small JSON file for each group that has been measured, complete or not there.

    <root>/lock                          held by the run that measures
    <root>/<conditions>/conditions.json  what the folder's results have in common
    <root>/<conditions>/groups/<group>.json

A file is written under another name and then renamed, so that whoever reads, or is killed while
writing, sees all of it or none.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ..cases import Case
from ..groups import Group, group_id, title
from ..measure import Failure, Outcome
from ..measurement import METER_UNITS, Measurement

SCHEMA = 1


class JournalBusyError(RuntimeError):
    """Another run measures into this journal."""


@dataclass(frozen=True)
class Entry:
    """A group as it was measured, and how long that took."""

    outcomes: dict[Case, Outcome]
    seconds: float


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the journal alone; the lock goes with the process, however that ends.

    Raises
    ------
    JournalBusyError
        If another process holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    owner = root / "lock-owner.txt"
    lock = FileLock(root / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
        raise JournalBusyError(
            f"{who} is measuring into {root}. Wait until it has ended, or end it: two runs at once "
            "would disturb each other's times."
        ) from None
    try:
        started = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        owner.write_text(f"process {os.getpid()}, started {started},", encoding="utf-8")
        yield
    finally:
        lock.release()


def write_entry(folder: Path, group: Group, entry: Entry) -> Path:
    """Keep a measured group."""
    record = {
        "schema": SCHEMA,
        "title": title(group),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": entry.seconds,
        "cases": [
            {"case": asdict(case), **_encoded(outcome)} for case, outcome in entry.outcomes.items()
        ],
    }
    file = _file(folder, group)
    write_json(file, record)
    return file


def read_entry(folder: Path, group: Group) -> tuple[Entry | None, str]:
    """Return a group's entry and why there is none: nothing if it was not measured yet.

    An entry of more cases, measured together, serves as well.
    """
    entries, damaged = read_all(folder)
    fault = damaged.get(_file(folder, group).name, "")
    for entry in reversed(entries):
        if all(case in entry.outcomes for case in group):
            return entry, fault
    return None, fault


def read_all(folder: Path) -> tuple[list[Entry], dict[str, str]]:
    """Return every entry in a folder, and for each file that is damaged, why.

    Those of the most cases come last, and of as many cases, the latest.
    """
    entries, damaged = [], {}
    files = sorted((folder / "groups").glob("*.json"), key=lambda file: file.stat().st_mtime)
    for file in files:
        try:
            entries.append(_decoded(json.loads(file.read_text(encoding="utf-8"))))
        except (ValueError, TypeError, KeyError) as error:
            damaged[file.name] = f"{type(error).__name__}: {error}"
    entries.sort(key=lambda entry: len(entry.outcomes))
    return entries, damaged


def read_outcomes(folder: Path) -> dict[Case, Outcome]:
    """Return what is known of every case; of two entries the one that compares more cases."""
    outcomes: dict[Case, Outcome] = {}
    for entry in read_all(folder)[0]:
        outcomes |= entry.outcomes
    return outcomes


def write_json(file: Path, data: Mapping[str, object]) -> None:
    """Write JSON such that nobody ever sees half of it, even if the machine stops."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    with unfinished.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed was about to write. Only under the lock."""
    for file in folder.rglob("*.unfinished"):
        file.unlink()


def earlier_seconds(root: Path) -> dict[str, float]:
    """Return how long a case of each group took, by the group's title, in any earlier run."""
    seconds = {}
    files: Sequence[Path] = sorted(
        root.glob("*/groups/*.json"), key=lambda file: file.stat().st_mtime
    )
    for file in files:
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            seconds[record["title"]] = float(record["seconds"]) / len(record["cases"])
        except (ValueError, TypeError, KeyError, ZeroDivisionError):
            continue  # a guess of the time left can do without
    return seconds


def _file(folder: Path, group: Group) -> Path:
    return folder / "groups" / f"{group_id(group)}.json"


def _encoded(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Failure):
        return {"failure": outcome.traceback}
    return {"figures": {meter: _number(getattr(outcome, meter)) for meter in METER_UNITS}}


def _number(value: float) -> float | str | None:
    """JSON has no NaN and no infinity."""
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _decoded(record: dict[str, object]) -> Entry:
    if record["schema"] != SCHEMA:
        raise ValueError(f"schema {record['schema']!r}, and {SCHEMA} is read here")
    cases = record["cases"]
    if not isinstance(cases, list) or not cases:
        raise ValueError("no cases")
    outcomes: dict[Case, Outcome] = {}
    for item in cases:
        case = Case(**item["case"])
        if "failure" in item:
            outcomes[case] = Failure(str(item["failure"]))
        else:
            outcomes[case] = Measurement(
                **{
                    meter: math.nan if value is None else float(value)
                    for meter, value in item["figures"].items()
                }
            )
    return Entry(outcomes, float(str(record["seconds"])))
