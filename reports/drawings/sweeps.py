"""Time, memory and gradient error along an axis, as lines."""

from collections.abc import Callable
from dataclasses import dataclass

from reports.axes import Axis, category_axis, log_axis
from reports.drawings.notes import (
    TRUE_ERROR,
    configuration_note,
    interval,
    is_loggable,
    left_out,
    memory_title,
    row_note,
    slug,
)
from reports.figures import LEVEL, LINE, Figure, Point, Series, with_labels
from reports.formats import format_bytes, format_compact, format_power, format_seconds
from reports.labels import OWN_METHODS, problem_label, tableau_label
from reports.orders import num_weights
from reports.summaries import Estimate, Row, Summary
from reports.sweeps import Sweep

_AXIS_TITLES = {
    "tableau": "Tableau, by rising order",
    "size": "Number of weights",
    "steps": "Number of steps",
    "checkpoints": "What is kept of the trajectory",
}


@dataclass(frozen=True)
class _Quantity:
    """What is shown along an axis: its key, its titles, how it is read and written, a remark."""

    key: str
    title: str
    axis_title: str
    read: Callable[[Row], Estimate | None]
    text: Callable[[float], str]
    remark: str = ""


def sweep_figures(summary: Summary, sweep: Sweep) -> list[Figure]:
    """Time, memory and gradient error along an axis; those of which nothing is known left out."""
    memory = memory_title(summary)
    quantities = (
        _Quantity(
            "time",
            "Wall time",
            "Wall time (ms, s)",
            lambda row: row.seconds,
            format_seconds,
            " Whiskers: quartiles over the rounds.",
        ),
        _Quantity("memory", memory, f"{memory} (KiB, MiB)", _peak, format_bytes),
        _Quantity(
            "error",
            "Gradient error",
            "Error against the true gradient (relative)",
            _true_error,
            format_power,
            " Methods that are exact for their steps lie on one another.",
        ),
    )
    figures = (_sweep_figure(sweep, quantity) for quantity in quantities)
    return [figure for figure in figures if figure is not None]


def _peak(row: Row) -> Estimate | None:
    return None if row.peak_bytes is None else Estimate(row.peak_bytes)


def _true_error(row: Row) -> Estimate | None:
    value = row.measurement.value(TRUE_ERROR)
    return None if value is None else Estimate(value)


def _sweep_axis(sweep: Sweep) -> tuple[Axis, dict[int | str, float]]:
    """Axis of a sweep and the place of each of its values: on a logarithmic axis if they count."""
    title = _AXIS_TITLES[sweep.axis]
    counts: dict[int | str, float] = {}
    for value in sweep.values:
        count = value if isinstance(value, int) else None
        if sweep.axis == "size":
            count = num_weights(str(value))
        if sweep.axis in {"size", "steps"} and count:
            counts[value] = count
    if len(set(counts.values())) == len(sweep.values):
        return log_axis(title, counts.values(), format_compact, margins=(0.08, 0.42)), counts
    texts = [tableau_label(str(v)) if sweep.axis == "tableau" else str(v) for v in sweep.values]
    names = [text.replace(" ", "\n", 1) for text in texts]
    if sweep.axis == "checkpoints" and len(names) > 3:
        # Words side by side need two lines to keep apart.
        names = [
            f"\n{name}" if place % 2 and not name.isdecimal() else name
            for place, name in enumerate(names)
        ]
    return (
        category_axis(title, names, room=0.35 * len(names)),
        {value: float(position) for position, value in enumerate(sweep.values)},
    )


def _sweep_figure(sweep: Sweep, quantity: _Quantity) -> Figure | None:
    x, places = _sweep_axis(sweep)
    lines: dict[str, tuple[Row, list[Point]]] = {}
    shown: list[Row] = []
    for position, row in sweep.rows:
        estimate = quantity.read(row)
        if estimate is None or not is_loggable(estimate.value):
            continue
        shown.append(row)
        note = f"{configuration_note(row)}\n{row_note(row)}"
        point = Point(places[position], estimate.value, note, y_interval=interval(estimate))
        # Along any other axis each setting of the checkpoints is a line of its own.
        key = row.look.name if sweep.axis == "checkpoints" else row.label
        lines.setdefault(key, (row, []))[1].append(point)
    levels = [
        (row, estimate.value)
        for row in sweep.levels
        if (estimate := quantity.read(row)) is not None and is_loggable(estimate.value)
    ]
    if not lines:
        return None
    series = [_line(name, *line) for name, line in lines.items()]
    series += [_level(row, value, x) for row, value in levels]
    values = [value for one in series for point in one.points for value in _y_extent(point)]
    everything = [row for _, row in sweep.rows] + list(sweep.levels)
    sizes = ""
    if sweep.axis == "size" and not x.is_category:
        sizes = f" Left to right: {'; '.join(str(value) for value in sweep.values)}."
    figure = Figure(
        slug(f"{sweep.axis}-{sweep.problem}-{_fixed_key(sweep)}-{quantity.key}"),
        quantity.title,
        f"{sweep_text(sweep)}.{sizes}{quantity.remark}"
        f"{left_out(everything, shown + [row for row, _ in levels])}",
        x,
        log_axis(
            quantity.axis_title,
            values,
            quantity.text,
            binary=quantity.text is format_bytes,
        ),
        tuple(series),
    )
    figure = with_labels(figure, LINE, ("middle right", "top right", "bottom right"))
    return with_labels(figure, LEVEL, ("top center", "bottom center"))


def _line(name: str, row: Row, points: list[Point]) -> Series:
    last = points[-1]
    is_one = name == row.look.name
    label = row.look.short if is_one else row.short_label
    labelled = Point(last.x, last.y, last.note, label, y_interval=last.y_interval)
    return Series(
        name, LINE, row.look.style, (*points[:-1], labelled), is_own=row.method in OWN_METHODS
    )


def _level(row: Row, value: float, x: Axis) -> Series:
    label = row.look
    anchor = x.high - 0.3 * (x.high - x.low)
    points = (
        Point(x.low, value),
        Point(anchor, value, row_note(row), row.short_label),
        Point(x.high, value),
    )
    return Series(row.label, LEVEL, label.style, points)


def sweep_text(sweep: Sweep) -> str:
    """What stays the same along a sweep."""
    work = sweep.fixed
    parts = [problem_label(sweep.problem).name]
    if sweep.axis != "tableau":
        parts.append(work.tableau)
    if sweep.axis != "size":
        parts.append(work.size)
    if sweep.axis != "steps":
        steps = {row.measurement.case.configuration.steps for _, row in sweep.rows}
        if len(steps) == 1:
            parts.append(f"{work.steps} steps")
        else:
            parts.append("adaptive steps where the tableau has an error estimate")
    return ", ".join(parts)


def _fixed_key(sweep: Sweep) -> str:
    work = sweep.fixed
    fixed = {"tableau": work.tableau, "size": work.size, "steps": work.steps}
    fixed.pop(sweep.axis, None)
    return "-".join(str(value) for value in fixed.values())


def _y_extent(point: Point) -> tuple[float, ...]:
    return (point.y, *(point.y_interval or ()))
