"""Groups: the cases that take turns at the clock, and so can be compared; measured whole or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import astuple

from .cases import Case

Group = tuple[Case, ...]
"""Cases that differ by method or checkpoints only."""


def grouped(cases: Iterable[Case]) -> tuple[Group, ...]:
    """Split cases into groups, each in the order of its first case."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(_title(case), []).append(case)
    return tuple(map(tuple, groups.values()))


def title(group: Group) -> str:
    """Return what a group's cases have in common."""
    return _title(group[0])


def group_id(group: Group) -> str:
    """Return a name for a file: the problem, and a digest of the cases."""
    text = json.dumps([astuple(case) for case in group])
    return f"{group[0].problem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _title(case: Case) -> str:
    steps = case.steps if isinstance(case.steps, str) else f"{case.steps} steps"
    return f"{case.problem} {case.tableau} {case.size} {steps}"
