"""A run in parts: each of several jobs measures its share of the groups, and their journals merge.

<journal>/shards/3-of-40/...   a journal of its own, for the job of ``--shard 3/40``
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..groups import Group
from .conditions import Conditions, folder_name
from .journal import write_json

SHARDS = "shards"


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run; the first is 1."""

    index: int
    count: int

    def part_of(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """Return this part's groups: every ``count``-th, as neighbours take about as long."""
        return tuple(groups[self.index - 1 :: self.count])

    def journal(self, whole: Path) -> Path:
        """Return the part's own journal, in that of the whole run."""
        return whole / SHARDS / f"{self.index}-of-{self.count}"


def read_shard(text: str) -> Shard:
    """Read a part such as ``"3/40"``.

    Raises
    ------
    ValueError
        If it is none.

    >>> read_shard("3/40")
    Shard(index=3, count=40)
    """
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(
            f"{text!r} is no part of a run: write '3/40' for the third of forty, from '1/40' to "
            "'40/40'"
        )
    return Shard(int(match[1]), int(match[2]))


def shards(journal: Path) -> list[Path]:
    """Return the journals of the parts of a run.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = sorted((journal / SHARDS).glob("*-of-*"))
    if not found:
        raise ValueError(f"{journal / SHARDS} holds no shards: name the journals to merge")
    return found


def merge(sources: Sequence[Path], journal: Path) -> dict[Path, int]:
    """Copy what other journals hold into one.

    A group that is there already stays as it is, so that merging twice changes nothing.

    Parameters
    ----------
    sources : sequence of Path
        Journals, of shards or copied from other machines.
    journal : Path

    Returns
    -------
    dict of Path to int
        The folders of the journal that the sources have too, and how many groups each was given.

    Raises
    ------
    ValueError
        If a source holds no journal, or a folder not what its name says.
    """
    given: dict[Path, int] = {}
    for source in sources:
        folders = sorted(file.parent for file in source.glob("*/conditions.json"))
        if not folders:
            raise ValueError(f"{source} is no journal: no folder in it has a conditions.json")
        for folder in folders:
            target = journal / folder.name
            present = read_conditions(folder)
            if not (target / "conditions.json").exists():
                write_json(target / "conditions.json", present)
            given.setdefault(target, 0)
            for file in sorted((folder / "groups").glob("*.json")):
                given[target] += _copied(file, target / "groups" / file.name)
    return given


def read_conditions(folder: Path) -> Conditions:
    """Return the conditions of a folder's results.

    Raises
    ------
    ValueError
        If they are not those that its name was made of.
    """
    present: Conditions = json.loads((folder / "conditions.json").read_text(encoding="utf-8"))
    if folder_name(present) != folder.name:
        raise ValueError(
            f"{folder / 'conditions.json'} does not belong to its folder, which should be called "
            f"{folder_name(present)}: copy whole folders only"
        )
    return present


def _copied(file: Path, target: Path) -> bool:
    """Copy a file unless it is there; it is there whole or not at all."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    shutil.copy2(file, unfinished)
    os.replace(unfinished, target)
    return True
