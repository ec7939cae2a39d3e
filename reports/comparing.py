"""Tables of one thing against another: versions, tableaus, methods, machines."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reports.changes import LESS, MORE, Change
from reports.drawings.notes import TRUE_ERROR
from reports.formats import (
    NOT_MEASURED,
    format_bytes,
    format_change,
    format_count,
    format_ratio,
    format_relative,
    format_seconds,
    meter,
)
from reports.labels import OWN_METHODS, problem_label, tableau_label, tableau_order
from reports.records import Case, VersionComparison
from reports.summaries import Row, Summary
from reports.sweeps import sweeps
from reports.tables import Cell, Column, Table

_BASE_TABLEAU = "dopri5"
_MOST_ROWS = 200


@dataclass(frozen=True)
class Pair:
    """Two rows to be set against each other, and the cells that say which they are."""

    heads: tuple[Cell, ...]
    one: Row
    other: Row


_Read = Callable[[Row], float | None]


def _evaluations(row: Row) -> float | None:
    parts = [row.measurement.value(name) for name in ("nfe_forward", "nfe_backward")]
    return None if None in parts else sum(part or 0.0 for part in parts)


def _seconds(row: Row) -> float | None:
    return row.seconds.value if row.seconds else None


def _paired_time(row: Row) -> float | None:
    """Time relative to backprop's, measured in turns with it."""
    return row.time_ratio.value if row.time_ratio else None


def pair_table(
    caption: str, heads: Sequence[str], pairs: Iterable[Pair], *, is_paired: bool = False
) -> Table:
    """The second of each pair relative to the first: time, memory, evaluations, error.

    Parameters
    ----------
    caption : str
        Heading.
    heads : sequence of str
        Headings of the cells that say what a pair is.
    pairs : iterable of Pair
        What is compared.
    is_paired : bool
        Both rows of a pair belong to one configuration: their times are quotients of their ratios
        to backprop, measured in turns, and not of their seconds.
    """
    columns: list[tuple[str, _Read, Callable[[float], str]]] = [
        ("Time", _seconds, format_seconds),
        ("Peak memory", lambda row: row.peak_bytes, format_bytes),
        ("NFE", _evaluations, format_count),
        ("Error, true gradient", lambda row: row.measurement.value(TRUE_ERROR), format_relative),
    ]
    rows = []
    for pair in pairs:
        cells = list(pair.heads)
        for name, read, text in columns:
            ratio = None
            if name == "Time" and is_paired:
                ratio = _quotient(_paired_time(pair.other), _paired_time(pair.one))
            ratio = ratio or _quotient(read(pair.other), read(pair.one))
            cells.append(_pair_cell(pair, read, text, ratio))
        rows.append(tuple(cells))
    return Table(
        caption,
        (
            *(Column(head, is_number=False) for head in heads),
            *(Column(name, "the second over the first") for name, _, _ in columns),
        ),
        tuple(rows[:_MOST_ROWS]),
        f"{len(rows) - _MOST_ROWS} more rows are left out." if len(rows) > _MOST_ROWS else "",
        is_stacked=True,
    )


def _pair_cell(pair: Pair, read: _Read, text: Callable[[float], str], ratio: float | None) -> Cell:
    values = [read(row) for row in (pair.one, pair.other)]
    words = [NOT_MEASURED if value is None else text(value) for value in values]
    if ratio is None:
        has_failed = any(row.measurement.failed for row in (pair.one, pair.other))
        kind = "failed" if has_failed and None in values else "missing"
        return Cell("failed" if kind == "failed" else NOT_MEASURED, " → ".join(words), kind=kind)
    return Cell(format_ratio(ratio), " → ".join(words), ratio)


def _quotient(value: float | None, base: float | None) -> float | None:
    if value is None or not base or not math.isfinite(value) or not math.isfinite(base):
        return None
    return value / base


def tableau_pairs(summary: Summary) -> list[Pair]:
    """Every tableau against dopri5 (or the first there is), method by method."""
    found = []
    for sweep in sweeps(summary, "tableau"):
        names = [str(value) for value in sweep.values]
        base = _BASE_TABLEAU if _BASE_TABLEAU in names else names[0]
        rows = {(r.method, r.measurement.case.checkpoints, str(t)): r for t, r in sweep.rows}
        for (method, kept, tableau), row in rows.items():
            one = rows.get((method, kept, base))
            if tableau == base or one is None:
                continue
            heads = (
                Cell(problem_label(sweep.problem).name, row.measurement.case.configuration.size),
                Cell(row.label, style=row.look.style),
                Cell(f"{tableau_label(tableau)} over {tableau_label(base)}"),
            )
            found.append(Pair(heads, one, row))
    # The highest order first, against which people weigh the usual one.
    return sorted(found, key=lambda pair: -tableau_order(_tableau(pair.other))[0])


def _tableau(row: Row) -> str:
    return row.measurement.case.configuration.tableau


def method_pairs(summary: Summary) -> list[Pair]:
    """Each of our methods against every other one, on what stands for a problem."""
    found = []
    for problem in summary.problems:
        comparison = summary.headline(problem)
        for own in OWN_METHODS:
            ours = comparison.row(own)
            if ours is None:
                continue
            for other in comparison.rows:
                if other.method in OWN_METHODS:
                    continue
                heads = (
                    Cell(problem_label(problem).name, comparison.configuration.tableau),
                    Cell(ours.label, style=ours.look.style),
                    Cell(other.label, style=other.look.style),
                )
                found.append(Pair(heads, other, ours))
    return found


def machine_pairs(here: Summary, there: Summary) -> list[Pair]:
    """Another machine against this one, case by case."""
    known = {row.measurement.case: row for item in there.comparisons for row in item.rows}
    return [
        Pair(_case_cells(row.measurement.case, row), row, known[row.measurement.case])
        for comparison in here.comparisons
        for row in comparison.rows
        if row.measurement.case in known
    ]


def _case_cells(case: Case, row: Row | None = None) -> tuple[Cell, ...]:
    work = case.configuration
    return (
        Cell(problem_label(work.problem).name),
        Cell(row.label, style=row.look.style) if row else Cell(case.method),
        Cell(f"{work.tableau}, {work.steps} steps, {work.size}"),
    )


def change_table(caption: str, items: Sequence[Change], summary: Summary) -> Table:
    """Changes of single meters, the largest first."""
    rows_of = {row.measurement.case: row for c in summary.comparisons for row in c.rows}
    rows = []
    for item in items[:_MOST_ROWS]:
        text = meter(item.meter).format
        low, high = (measured.values[item.meter] for measured in (item.before, item.after))
        kind = {MORE: "worse", LESS: "better"}.get(item.verdict, "missing")
        ratio = item.ratio
        rows.append(
            (
                *_case_cells(item.case, rows_of.get(item.case)),
                Cell(meter(item.meter).label),
                Cell(text(low), value=low),
                Cell(text(high), value=high),
                Cell(format_change(ratio), value=ratio if math.isfinite(ratio) else None),
                Cell(item.verdict, kind=kind),
            )
        )
    heads = ("Problem", "Method", "Configuration", "Meter")
    return Table(
        caption,
        (
            *(Column(head, is_number=False) for head in heads),
            Column("Before"),
            Column("After"),
            Column("After / before"),
            Column("Verdict", is_number=False),
        ),
        tuple(rows),
        f"{len(items) - _MOST_ROWS} smaller changes are left out."
        if len(items) > _MOST_ROWS
        else "",
    )


_KINDS = {"BROKEN": "worse", "WORSE": "worse", "BETTER": "better", "UNKNOWN": "missing"}


def version_table(found: VersionComparison) -> Table:
    """What a comparison of two versions printed: what changed, and every time."""
    rows = [
        tuple(
            Cell(text, kind=_KINDS.get(status, "") if place == 0 else "")
            for place, text in enumerate(cells)
        )
        for status, cells in found.rows
    ]
    return Table(
        f"{found.base} → {found.head}",
        tuple(Column(name, is_number=False) for name in found.columns),
        tuple(rows[:_MOST_ROWS]),
        f"{len(rows) - _MOST_ROWS} more rows are left out." if len(rows) > _MOST_ROWS else "",
    )
