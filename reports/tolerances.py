"""What counts as a change of a metric: a file of thresholds, read and applied."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KINDS: Mapping[str, frozenset[str]] = {
    "equal": frozenset(),
    "relative": frozenset({"relative", "absolute"}),
    "digits": frozenset({"digits"}),
    "ratio": frozenset({"least", "clear", "resolution"}),
}
"""Kinds of thresholds, and the numbers that each of them needs."""


class ThresholdsError(ValueError):
    """A file of thresholds that cannot be used; the message names file, entry and fault."""


@dataclass(frozen=True)
class Threshold:
    """When a metric has changed. Higher is worse.

    Attributes
    ----------
    metric, title : str
        Its name in results, and in words.
    kind : {"equal", "relative", "digits", "ratio"}
        See `compare`; a ``"ratio"`` is measured as one, and not compared here.
    numbers : mapping of str to float
        The limits, by the names in `KINDS`.
    reason : str
        Why these.
    """

    metric: str
    title: str
    kind: str
    numbers: Mapping[str, float]
    reason: str

    @property
    def is_exact(self) -> bool:
        """Whether one measurement on each side is enough."""
        return self.kind != "ratio"

    def compare(self, base: float, head: float) -> int:
        """Return 1 if ``head`` is worse than ``base``, -1 if it is better, 0 if neither."""
        if self.kind == "equal":
            margin = 0.0
        elif self.kind == "relative":
            margin = self.numbers["relative"] * min(abs(base), abs(head)) + self.numbers["absolute"]
        else:
            # A method may be exact by chance: below rounding an error has no order of magnitude.
            base, head = (math.log10(max(value, _LEAST_ERROR)) for value in (base, head))
            margin = self.numbers["digits"]
        return (head > base + margin) - (head < base - margin)


_LEAST_ERROR = 1e-16


def read_thresholds(file: Path) -> dict[str, Threshold]:
    """Read thresholds, a TOML table for each metric.

    Raises
    ------
    ThresholdsError
        If the file cannot be read, or an entry lacks what its kind needs or has something else.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ThresholdsError(f"{file.as_posix()}: cannot be read ({error})") from error
    return {metric: _threshold(file, metric, table) for metric, table in tables.items()}


def _threshold(file: Path, metric: str, table: object) -> Threshold:
    where = f"{file.as_posix()}: [{metric}]"
    if not isinstance(table, dict):
        raise ThresholdsError(f"{where} is not a table")
    kind = str(table.get("kind"))
    if kind not in KINDS:
        raise ThresholdsError(f"{where} has kind {kind!r}; allowed are {', '.join(KINDS)}")
    needed = {"title", "kind", "reason"} | KINDS[kind]
    if set(table) != needed:
        raise ThresholdsError(
            f"{where} has {', '.join(sorted(table))}; a threshold of kind {kind!r} has "
            f"{', '.join(sorted(needed))}"
        )
    numbers = {}
    for name in KINDS[kind]:
        number = table[name]
        if isinstance(number, bool) or not isinstance(number, int | float) or not number >= 0:
            raise ThresholdsError(f"{where} has {name} = {number!r}; allowed are numbers from 0")
        numbers[name] = float(number)
    return Threshold(metric, str(table["title"]), kind, numbers, str(table["reason"]))
