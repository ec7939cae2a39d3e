"""Wall time and peak memory of each method, as bars."""

import math
from collections.abc import Sequence

from reports.axes import category_axis, zero_axis
from reports.drawings.notes import (
    comparison_key,
    configuration_text,
    extent,
    interval,
    memory_title,
    row_note,
)
from reports.figures import BAR, TEXT, Figure, Point, Series
from reports.formats import FAILED, NOT_MEASURED, format_bytes, format_seconds
from reports.summaries import Comparison, Row, Summary


def bars(summary: Summary, comparison: Comparison) -> list[Figure]:
    """Wall time and peak memory of each method as bars, the first method on top."""
    rows = comparison.rows[::-1]
    names = category_axis("", [row.label for row in rows])
    key = comparison_key(comparison)
    what = configuration_text(comparison)
    return [
        Figure(
            f"{key}-time",
            "Wall time",
            f"{what}. Pale: forward, full: backward (each a median of its own, so the two need "
            "not add up to the total to the last digit). Whiskers: quartiles of the total.",
            zero_axis(
                "Wall time (ms, s)",
                [end for row in rows if row.seconds for end in extent(row.seconds)],
                format_seconds,
            ),
            names,
            _time_bars(rows),
        ),
        Figure(
            f"{key}-memory",
            memory_title(summary),
            f"{what}. Peak above the start of the call.",
            zero_axis(
                f"{memory_title(summary)} (KiB, MiB)",
                [row.peak_bytes for row in rows if row.peak_bytes is not None],
                format_bytes,
            ),
            names,
            _memory_bars(rows, summary.memory_meter),
        ),
    ]


def _time_bars(rows: Sequence[Row]) -> tuple[Series, ...]:
    series: list[Series] = []
    for position, row in enumerate(rows):
        style = row.look.style
        total = row.seconds
        forward = row.measurement.value("wall_seconds_forward")
        backward = row.measurement.value("wall_seconds_backward")
        note = row_note(row)
        if total is None or not math.isfinite(total.value):
            series.append(_bar_text(row, "wall_seconds", position))
            continue
        if forward is not None and backward is not None:
            pale = Point(forward, position, note=note)
            full = Point(forward + backward, position, note=note, start=forward)
            series.append(Series(f"{row.label}: forward", BAR, style, (pale,), is_light=True))
            series.append(Series(f"{row.label}: backward", BAR, style, (full,)))
        else:
            series.append(Series(row.label, BAR, style, (Point(total.value, position, note=note),)))
        end = Point(
            max(extent(total)),
            position,
            label=format_seconds(total.value),
            label_position="middle right",
            x_interval=interval(total),
        )
        series.append(Series(f"{row.label}: total", TEXT, style, (end,)))
    return tuple(series)


def _memory_bars(rows: Sequence[Row], memory_meter: str) -> tuple[Series, ...]:
    series: list[Series] = []
    for position, row in enumerate(rows):
        style = row.look.style
        if row.peak_bytes is None or not math.isfinite(row.peak_bytes):
            series.append(_bar_text(row, memory_meter, position))
            continue
        bar = Point(
            row.peak_bytes,
            position,
            note=row_note(row),
            label=format_bytes(row.peak_bytes),
            label_position="middle right",
        )
        series.append(Series(row.label, BAR, style, (bar,)))
    return tuple(series)


def _bar_text(row: Row, meter: str, position: int) -> Series:
    text = FAILED if meter in row.measurement.failed else f"{NOT_MEASURED} (not measured)"
    point = Point(0.0, position, label=text, label_position="middle right")
    return Series(row.label, TEXT, row.look.style, (point,))
