"""What both readers share: JSON from strangers, numbers, dates, cells of a result."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reports.records import CASE_FIELDS, Case, Measurement, ProblemFacts

Cell = tuple[dict[str, float], set[str]]  # values, failed meters


class UnreadableFileError(Exception):
    """A file is not what its place and name promise; the message names the file and the fault."""


def read_object(file: Path) -> dict[str, object]:
    """Read a JSON object.

    ``NaN`` and ``Infinity`` are admitted: both tools write them, against the JSON standard.

    Raises
    ------
    UnreadableFileError
        The file cannot be opened, is not JSON (truncated, for example), or is not an object.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFileError(
            f"{file.as_posix()}: cannot be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        # JSONDecodeError and UnicodeDecodeError are ValueErrors.
        raise UnreadableFileError(f"{file.as_posix()}: not valid JSON ({error})") from error
    if not isinstance(data, dict):
        raise UnreadableFileError(f"{file.as_posix()}: not a JSON object but {type(data).__name__}")
    return data


def as_mapping(value: object) -> Mapping[str, object]:
    """Return the value if it is a JSON object, an empty mapping otherwise."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str | None:
    """Text of a string or number; None of anything else, and of an empty string."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value).strip() or None
    return None


def as_count(value: object) -> int | None:
    """Whole number of a number or of a string of digits (asv stores counts as text)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return int(value)
    return None


def as_number(value: object) -> float:
    """Value of a meter.

    Raises
    ------
    TypeError
        It is not a number.
    """
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a meter is a number, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def as_key(value: object) -> int | str:
    """Part of a case: a whole number stays one, everything else is text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return str(value)


def as_date(value: object) -> datetime | None:
    """Date, in UTC, of milliseconds since 1970 (asv) or of ISO text (pytest-benchmark)."""
    try:
        if isinstance(value, str):
            date = datetime.fromisoformat(value)
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        return datetime.fromtimestamp(as_number(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def as_problems(provenance: Mapping[str, object]) -> dict[str, ProblemFacts]:
    """What a provenance file tells of the problems: ``{"problems": {name: {source, data}}}``."""
    found = {}
    for name, facts in as_mapping(provenance.get("problems")).items():
        told = as_mapping(facts)
        data = as_text(told.get("data")) or ("synthetic" if told.get("synthetic") is True else "")
        found[name] = ProblemFacts(as_text(told.get("source")) or "", data)
    return found


class Cells:
    """Meters of cases, gathered one value, or one meter of many cases, at a time."""

    def __init__(self) -> None:
        self._cells: dict[Case, Cell] = {}

    def cells(self, cases: Iterable[Case]) -> list["Cell"]:
        """Return what has been gathered for each case, to be added to."""
        return [self._cells.setdefault(case, ({}, set())) for case in cases]

    def add(self, fields: Mapping[str, int | str], meter: str, value: object) -> None:
        """Take one value: None is a failure, NaN was skipped.

        Raises
        ------
        TypeError
            The value is neither None nor a number.
        """
        add_column(self.cells([Case.from_fields(fields)]), meter, [value])

    def measurements(self) -> tuple[Measurement, ...]:
        """Every case that has a value or a failure; what was skipped altogether is left out."""
        return tuple(
            Measurement(case, values, frozenset(failed))
            for case, (values, failed) in self._cells.items()
            if values or failed
        )


def add_column(cells: Sequence[Cell], meter: str, values: Sequence[object]) -> None:
    """Take one meter of several cases: None is a failure, NaN was skipped.

    Raises
    ------
    TypeError
        A value is neither None nor a number; then none has been taken.
    """
    isnan = math.isnan
    numbers = [None if value is None else as_number(value) for value in values]
    for (known, failed), number in zip(cells, numbers, strict=True):
        if number is None:
            failed.add(meter)
        elif not isnan(number):
            known[meter] = number


def is_case(fields: Mapping[str, object]) -> bool:
    """Whether the six fields of a case are all there."""
    return all(name in fields for name in CASE_FIELDS)
