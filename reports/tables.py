"""Tables of the pages and the CSV file, as text with the number to sort by."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reports.dial import Dial
from reports.drawings.notes import REPLAYED, STEP_ERROR, TRUE_ERROR
from reports.formats import (
    FAILED,
    KNOWN_METERS,
    NOT_MEASURED,
    NOT_RUN,
    format_count,
    format_interval,
    format_rate,
    format_ratio,
    format_seconds,
    meter,
)
from reports.labels import BASE_METHOD, Style, method_label
from reports.records import CASE_FIELDS, Configuration, Measurement, Run
from reports.summaries import Comparison, Estimate, Row, Summary

_LONG = 48  # letters


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text : str
        What is read.
    detail : str
        An interval, in smaller letters.
    value : float or None
        What is sorted by; None sorts last.
    kind : str
        ``""``, ``"failed"`` or ``"missing"``.
    style : Style or None
        Mark of a method, shown before the text.
    href : str
        Page that the text links to.
    picture : str
        SVG of our own making, shown before the text; never made from a name.
    """

    text: str
    detail: str = ""
    value: float | None = None
    kind: str = ""
    style: Style | None = None
    href: str = ""
    picture: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it is a text that may take several lines."""
        return self.value is None and max(len(self.text), len(self.detail)) > _LONG


@dataclass(frozen=True)
class Column:
    """Heading of a column; `explanation` is told when it is pointed at."""

    label: str
    explanation: str = ""
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """A table; the first column heads its row. Stacked: details stand below what they detail."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    is_stacked: bool = False


_Read = Callable[[Row], Cell]


def meter_cell(measurement: Measurement, name: str) -> Cell:
    """Cell of one meter: its value, "failed", or "-" where it was not measured."""
    value = measurement.value(name)
    if value is not None:
        return Cell(meter(name).format(value), value=value)
    return _absent(measurement, name)


def _absent(measurement: Measurement, name: str) -> Cell:
    if name in measurement.failed:
        return Cell(FAILED, kind="failed")
    if measurement.is_left_out:
        return Cell(NOT_RUN, kind="missing")
    if measurement.reason:
        return Cell(measurement.reason, kind="missing")
    return Cell(NOT_MEASURED, kind="missing")


def _estimate_cell(
    row: Row, name: str, estimate: Estimate | None, text: Callable[[float], str]
) -> Cell:
    if estimate is None:
        return _absent(row.measurement, name)
    detail = "one sample"
    if estimate.low is not None and estimate.high is not None:
        detail = format_interval(estimate.low, estimate.high, text)
    return Cell(text(estimate.value), detail, estimate.value)


def _seconds(row: Row) -> Cell:
    return _estimate_cell(row, "wall_seconds", row.seconds, format_seconds)


def _time_ratio(row: Row) -> Cell:
    cell = _estimate_cell(row, "wall_ratio", row.time_ratio, format_ratio)
    is_base = row.method == BASE_METHOD and cell.value == 1
    return replace(cell, detail="base") if is_base else cell


def _peak(row: Row) -> Cell:
    return meter_cell(row.measurement, row.memory_meter)


def _memory_ratio(row: Row) -> Cell:
    if row.memory_ratio is None:
        return _absent(row.measurement, row.memory_meter)
    return Cell(format_ratio(row.memory_ratio), value=row.memory_ratio)


def _rate(row: Row) -> Cell:
    value = row.measurement.value("seconds_per_sample")
    if not value or not math.isfinite(value):
        return _absent(row.measurement, "seconds_per_sample")
    return Cell(format_rate(1 / value), value=1 / value)


def _evaluations(row: Row) -> Cell:
    """Evaluations of f in both passes, added and apart."""
    forward, backward = (
        meter_cell(row.measurement, name) for name in ("nfe_forward", "nfe_backward")
    )
    if forward.value is None or backward.value is None:
        return forward if forward.value is None else backward
    total = forward.value + backward.value
    return Cell(format_count(total), f"{forward.text} + {backward.text}", total)


def _reader(name: str) -> _Read:
    return lambda row: meter_cell(row.measurement, name)


def _method(row: Row) -> Cell:
    return Cell(row.label, style=row.look.style)


_TIME_RATIO = Column(
    "Time / backprop",
    "median of paired ratios to torchdiffeq backprop, with its 95 % interval",
)
_MEMORY_RATIO = Column("Memory / backprop", "peak memory over torchdiffeq backprop's")
_WALL = Column("Wall time", "median of forward and backward together, with quartiles")
_TRUE = Column(
    "Error, true gradient",
    "relative difference to the gradient in float64 at a tight tolerance",
)
_STEP = Column(
    "Error, same steps",
    "relative difference to float64 backpropagation over the same steps",
)

_REPLAYED = Column("Steps replayed", "steps taken again as a whole, as their states were not kept")
_EVALUATIONS = Column("NFE", "evaluations of f, forward + backward")


def _meter_columns(summary: Summary) -> list[tuple[Column, _Read, str]]:
    """Columns of the measurements, each with how it is read and its main meter."""
    columns: list[tuple[Column, _Read, str]] = [
        (_WALL, _seconds, "wall_seconds"),
        (_TIME_RATIO, _time_ratio, "wall_ratio"),
        (Column("Forward"), _reader("wall_seconds_forward"), "wall_seconds_forward"),
        (Column("Backward"), _reader("wall_seconds_backward"), "wall_seconds_backward"),
        (
            Column("Samples / s", "batch size over wall time; more is better"),
            _rate,
            "seconds_per_sample",
        ),
        (Column("Peak memory (CPU)"), _reader("peak_cpu_bytes"), "peak_cpu_bytes"),
        (Column("Peak memory (GPU)"), _reader("peak_gpu_bytes"), "peak_gpu_bytes"),
        (_MEMORY_RATIO, _memory_ratio, summary.memory_meter),
        (
            Column("NFE forward", "evaluations of f in the forward solve"),
            _reader("nfe_forward"),
            "nfe_forward",
        ),
        (
            Column("NFE backward", "evaluations of f in the backward pass"),
            _reader("nfe_backward"),
            "nfe_backward",
        ),
        (Column("VJPs", "vector-Jacobian products of f"), _reader("nvjp"), "nvjp"),
        (Column("Steps accepted"), _reader("num_accepted"), "num_accepted"),
        (Column("Steps rejected"), _reader("num_rejected"), "num_rejected"),
        (_REPLAYED, _reader(REPLAYED), REPLAYED),
        (_TRUE, _reader(TRUE_ERROR), TRUE_ERROR),
        (_STEP, _reader(STEP_ERROR), STEP_ERROR),
    ]
    for name in _other_meters(summary.run):
        if name == "outcome":
            continue  # it stands, in words, where a figure is missing
        columns.append((Column(meter(name).label), _reader(name), name))
    return columns


def _other_meters(run: Run) -> list[str]:
    """Meters that this report does not know, by name."""
    names = {name for m in run.measurements for name in (*m.values, *m.failed)}
    return sorted(names - set(KNOWN_METERS))


def measurement_table(
    summary: Summary, comparisons: Sequence[Comparison], *, with_problem: bool
) -> Table:
    """Every measurement of some configurations, one a row.

    Parameters
    ----------
    summary : Summary
        The run.
    comparisons : sequence of Comparison
        What is listed.
    with_problem : bool
        Whether a column names the problem.
    """
    rows = [row for comparison in comparisons for row in comparison.rows]
    columns: list[tuple[Column, _Read]] = [
        (Column("Method", is_number=False), _method),
        (Column("Tableau", is_number=False), lambda row: Cell(_work(row).tableau)),
        (Column("Network and batch", is_number=False), lambda row: Cell(_work(row).size)),
        (Column("Steps", is_number=False), lambda row: _key_cell(_work(row).steps)),
        (
            Column("Checkpoints", is_number=False),
            lambda row: _key_cell(row.measurement.case.checkpoints),
        ),
    ]
    if with_problem:
        problem = (
            Column("Problem", is_number=False),
            lambda row: Cell(summary.problem_name(_work(row).problem)),
        )
        columns.insert(1, problem)
    # A case that failed as a whole says nothing about which meters there are.
    telling = [row.measurement for row in rows if row.measurement.values]
    absent = []
    for column, read, name in _meter_columns(summary):
        if not telling or any(name in m.values or name in m.failed for m in telling):
            columns.append((column, read))
        else:
            absent.append(column.label)
    return Table(
        "Every measurement",
        tuple(column for column, _ in columns),
        tuple(tuple(read(row) for _, read in columns) for row in rows),
        f"Not measured in this run: {', '.join(absent)}." if absent else "",
    )


def _work(row: Row) -> Configuration:
    return row.measurement.case.configuration


def _key_cell(value: int | str) -> Cell:
    return Cell(str(value), value=float(value) if isinstance(value, int) else None)


def matrix_table(summary: Summary, pages: Mapping[str, str]) -> Table:
    """Memory and time of every method relative to backprop's, one problem a row."""
    columns = [Column("Problem", is_number=False), Column("As measured", is_number=False)]
    columns += [
        Column(method_label(method, summary.known_methods).name, "memory / backprop's, time")
        for method in summary.methods
    ]
    rows = []
    for problem in summary.work:
        comparison = summary.headline(problem)
        work = comparison.configuration
        cells = [
            Cell(summary.problem_name(problem), href=pages[problem]),
            Cell(f"{work.tableau}, {work.steps} steps, {work.size}"),
        ]
        for method in summary.methods:
            row = comparison.row(method)
            cells.append(Cell(NOT_MEASURED, kind="missing") if row is None else _matrix_cell(row))
        rows.append(tuple(cells))
    return Table(
        "Peak memory, and below it time, relative to torchdiffeq backprop",
        tuple(columns),
        tuple(rows),
        is_stacked=True,
    )


def _matrix_cell(row: Row) -> Cell:
    memory, time = _memory_ratio(row), _time_ratio(row)
    return replace(memory, detail=f"time {time.text}")


def dial_table(dial: Dial) -> Table:
    """Every setting of the checkpoints, then every other method, and where that one stands."""

    def standing(row: Row) -> Cell:
        if row in dial.curve:
            return Cell("on it")
        if row in dial.beaten:
            return Cell("beaten")
        if row in dial.judged:
            return Cell(dial.standing(row))
        return Cell("not judged") if dial.is_measured(row) else _absent(row.measurement, REPLAYED)

    columns: list[tuple[Column, _Read]] = [
        (Column("Method", is_number=False), _method),
        (Column("The curve", "of the settings of symadj", is_number=False), standing),
        (_MEMORY_RATIO, _memory_ratio),
        (_TIME_RATIO, _time_ratio),
        (Column("Peak memory"), _peak),
        (_WALL, _seconds),
        (_REPLAYED, _reader(REPLAYED)),
        (_EVALUATIONS, _evaluations),
        (_STEP, _reader(STEP_ERROR)),
    ]
    rows = (*dial.settings, *dial.others)
    not_run = [row.label for row in rows if row.measurement.is_left_out]
    return Table(
        "",
        tuple(column for column, _ in columns),
        tuple(tuple(read(row) for _, read in columns) for row in rows),
        f"Not run, as it would replay more steps than there is time for: {', '.join(not_run)}. "
        "The replayed steps are computed."
        if not_run
        else "",
    )


def measurements_csv(run: Run) -> str:
    """Every measurement, unrounded: seconds, bytes, counts, relative numbers.

    A failed meter reads ``failed``; one that was not measured is empty.
    """
    names = [*KNOWN_METERS, *_other_meters(run)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CASE_FIELDS, *(f"{name} [{meter(name).unit}]" for name in names)])
    for measurement in run.measurements:
        cells = [
            FAILED if name in measurement.failed else measurement.values.get(name, "")
            for name in names
        ]
        writer.writerow([*measurement.case.fields(), *cells])
    return text.getvalue()
