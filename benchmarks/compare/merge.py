"""Several machines' asv results brought into one folder, from which one site is built.

A result file that the target has already is completed, not replaced: benchmarks that it lacks are
taken over. Files are exchanged whole, so that who reads at the same time reads the old or the new.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reports.loaders.parse import UnreadableFileError, read_object

MACHINE = "machine.json"


class MergeError(ValueError):
    """A folder that is no results folder; the message names it."""


def merge_results(sources: Sequence[Path], into: Path) -> Iterator[str]:
    """Merge results folders into another one, and tell what was done, line by line.

    Raises
    ------
    MergeError
        If a source does not exist.
    """
    for source in sources:
        if not source.is_dir():
            raise MergeError(f"{source} is no folder: give asv results folders, as .asv/results")
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".merge-lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second one waits
        for source in sources:
            for file in sorted(
                (
                    *source.glob("*.json"),
                    *source.glob("*/*.json"),
                    *source.glob("*/provenance/*.json"),
                )
            ):
                yield _take(file, into / file.relative_to(source))
            for machine in sorted(path for path in source.iterdir() if path.is_dir()):
                if not (machine / MACHINE).is_file():
                    yield f"{machine}: no {MACHINE}; its results are taken, its hardware is unknown"


def _take(file: Path, target: Path) -> str:
    try:
        new = read_object(file)
    except UnreadableFileError as error:
        return f"left out: {error}"
    if not target.exists():
        _write(target, new)
        return f"new: {target}"
    try:
        old = read_object(target)
    except UnreadableFileError as error:
        target.rename(target.with_name(target.name + ".unreadable"))
        _write(target, new)
        return f"replaced, the old one kept as {target.name}.unreadable: {error}"
    merged = _completed(old, new)
    if merged == old:
        return f"kept: {target}"
    _write(target, merged)
    return f"completed: {target}"


def _completed(old: dict[str, object], new: dict[str, object]) -> dict[str, Any]:
    """Return the old file with what the new one has more: benchmarks, and results of them."""
    merged: dict[str, Any] = {**new, **old}
    for key in ("results", "durations"):
        ours, theirs = old.get(key), new.get(key)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[key] = {
                **theirs,
                **{name: value for name, value in ours.items() if value is not None},
            }
    return merged


def _write(target: Path, data: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".merge-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(data, stream)
    Path(name).replace(target)
