"""The claim in one figure: memory against time of every method on every problem."""

import statistics
from dataclasses import replace

from reports.drawings.notes import (
    BASE_NOTE,
    TRUE_ERROR,
    is_loggable,
    memory_title,
    row_note,
)
from reports.drawings.planes import ratio_plane
from reports.figures import POINTS, Figure, Point, Series, with_labels
from reports.labels import OWN_METHODS
from reports.summaries import Comparison, Row, Summary

_EQUAL = 1.5  # times backprop's error, that still counts as equal


def claim_figure(summary: Summary) -> Figure | None:
    """Draw each problem as a small mark and each method's median as a large one, with its name."""
    spots: dict[str, list[tuple[Row, float, float, bool, str]]] = {}
    for problem in summary.work:
        comparison = summary.headline(problem)
        for row in comparison.rows:
            time, memory = row.time_ratio, row.memory_ratio
            if not row.is_usual or time is None or memory is None:
                continue
            if is_loggable(time.value) and is_loggable(memory):
                name = summary.problem_name(problem)
                equal = is_equal_error(comparison, row)
                spots.setdefault(row.method, []).append((row, time.value, memory, equal, name))
    if not spots:
        return None
    series = []
    for found in spots.values():
        row = found[0][0]
        for equal in (True, False):
            points = tuple(
                Point(time, memory, f"{problem}\n{row_note(item)}")
                for item, time, memory, is_equal, problem in found
                if is_equal is equal
            )
            if points:
                name = f"{row.look.name}: problems{'' if equal else ', at a larger error'}"
                look = row.look.style
                series.append(Series(name, POINTS, look, points, is_open=not equal, size=0.6))
    medians = tuple(_median(found) for found in spots.values())
    times = [point.x for one in (*series, *medians) for point in one.points]
    memories = [point.y for one in (*series, *medians) for point in one.points]
    figure = Figure(
        "claim",
        "Memory against time, every problem",
        f"Small marks: one problem each. Large marks: the median of a method over "
        f"{len(summary.work)} problems. Lower is less memory, further left is less time. "
        f"{BASE_NOTE} Outlines: not at equal error, the error of the gradient is more than "
        f"{_EQUAL:g} times backprop's, or not known.",
        *ratio_plane(memory_title(summary), times, memories),
        medians,
    )
    # Names keep off the large marks only: over a small one they can still be read.
    named = with_labels(figure, POINTS)
    return replace(named, series=(*series, *named.series))


def _median(found: list[tuple[Row, float, float, bool, str]]) -> Series:
    row = found[0][0]
    middle = Point(
        statistics.median(time for _, time, *_ in found),
        statistics.median(memory for _, _, memory, *_ in found),
        f"{row.look.name}: median of {len(found)}",
        row.look.short,
    )
    own = row.method in OWN_METHODS
    name = f"{row.look.name}: median"
    return Series(name, POINTS, row.look.style, (middle,), is_own=own, size=1.5)


def is_equal_error(comparison: Comparison, row: Row) -> bool:
    """Whether a row's gradient is about as close to the true one as backprop's."""
    base = comparison.base
    error = row.measurement.value(TRUE_ERROR)
    least = base.measurement.value(TRUE_ERROR) if base else None
    return error is not None and least is not None and error <= _EQUAL * least
