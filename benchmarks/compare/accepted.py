"""Regressions that somebody accepted, and why: ``accepted.toml``, part of the commit it excuses."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

FILE = "benchmarks/compare/accepted.toml"
"""Where it lies in the repository."""

_FIELDS = ("metric", "case", "up_to", "reason")


class AcceptedError(ValueError):
    """An entry that cannot be used; the message says which, and what is wrong."""


@dataclass(frozen=True)
class Accepted:
    """One accepted regression.

    Attributes
    ----------
    metric : str
        As in the thresholds.
    case : str
        Regular expression, found anywhere in a case's name.
    up_to : float
        Head over base that is still accepted.
    reason : str
        Shown wherever it applies.
    """

    metric: str
    case: str
    up_to: float
    reason: str

    def excuses(self, metric: str, case: str, ratio: float) -> bool:
        """Whether it covers a metric of a case that rose by this ratio."""
        return metric == self.metric and ratio <= self.up_to and bool(re.search(self.case, case))


def parse_accepted(text: str, metrics: Collection[str]) -> tuple[Accepted, ...]:
    """Read the entries of a file.

    Raises
    ------
    AcceptedError
        If the text is no TOML, or an entry is not complete, names no known metric, gives no reason
        or no ratio from 1.
    """
    try:
        entries = tomllib.loads(text).get("accepted", [])
    except tomllib.TOMLDecodeError as error:
        raise AcceptedError(f"{FILE} cannot be read: {error}") from error
    if not isinstance(entries, list):
        raise AcceptedError(f"{FILE}: write each entry as [[accepted]]")
    return tuple(_entry(number, entry, metrics) for number, entry in enumerate(entries, start=1))


def new_in(head: Iterable[Accepted], base: Iterable[Accepted]) -> tuple[Accepted, ...]:
    """Return the entries of the head that the base does not have: those of the base are spent."""
    spent = set(base)
    return tuple(entry for entry in head if entry not in spent)


def _entry(number: int, entry: object, metrics: Collection[str]) -> Accepted:
    where = f"{FILE}: entry {number}"
    if not isinstance(entry, dict) or set(entry) != set(_FIELDS):
        raise AcceptedError(f"{where} must have {', '.join(_FIELDS)}, and nothing else")
    if entry["metric"] not in metrics:
        raise AcceptedError(
            f"{where} has metric {entry['metric']!r}; allowed are {', '.join(sorted(metrics))}"
        )
    up_to, reason = entry["up_to"], str(entry["reason"]).strip()
    if isinstance(up_to, bool) or not isinstance(up_to, int | float) or not up_to >= 1:
        raise AcceptedError(f"{where} has up_to = {up_to!r}: give head over base, from 1")
    if not reason:
        raise AcceptedError(f"{where} gives no reason")
    try:
        re.compile(str(entry["case"]))
    except re.error as error:
        raise AcceptedError(f"{where} has a case that is no regular expression: {error}") from error
    return Accepted(entry["metric"], str(entry["case"]), float(up_to), reason)
