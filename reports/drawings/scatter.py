"""Memory against time: the figure that says what a gradient method costs."""

from collections.abc import Callable, Sequence
from functools import partial

from reports.drawings.notes import (
    BASE_NOTE,
    comparison_key,
    configuration_text,
    extent,
    interval,
    is_loggable,
    left_out,
    memory_title,
    row_note,
)
from reports.drawings.planes import Plane, absolute_plane, ratio_plane
from reports.figures import POINTS, Figure, Point, Series, with_labels
from reports.labels import OWN_METHODS
from reports.summaries import Comparison, Estimate, Row, Summary


def ratio_scatter(summary: Summary, comparison: Comparison) -> Figure | None:
    """Memory against time, both relative to torchdiffeq backprop; None if none is known."""
    drawn = [
        (row, row.time_ratio, row.memory_ratio)
        for row in comparison.rows
        if row.time_ratio is not None and row.memory_ratio is not None
    ]
    return _scatter(
        f"{comparison_key(comparison)}-ratio",
        summary.problem_name(comparison.configuration.problem),
        f"{configuration_text(comparison)}. {BASE_NOTE} Whiskers: 95 % interval of the median of "
        "paired time ratios.",
        comparison,
        drawn,
        partial(ratio_plane, memory_title(summary)),
    )


def absolute_scatter(summary: Summary, comparison: Comparison) -> Figure | None:
    """Memory against time, in bytes and seconds; None if none is known."""
    drawn = [
        (row, row.seconds, row.peak_bytes)
        for row in comparison.rows
        if row.seconds is not None and row.peak_bytes is not None
    ]
    return _scatter(
        f"{comparison_key(comparison)}-absolute",
        summary.problem_name(comparison.configuration.problem),
        f"{configuration_text(comparison)}. Whiskers: quartiles over the rounds.",
        comparison,
        drawn,
        partial(absolute_plane, memory_title(summary)),
    )


def _scatter(
    key: str,
    title: str,
    caption: str,
    comparison: Comparison,
    drawn: Sequence[tuple[Row, Estimate, float]],
    plane: Callable[[list[float], list[float]], Plane],
) -> Figure | None:
    shown = [item for item in drawn if is_loggable(item[1].value) and is_loggable(item[2])]
    if not shown:
        return None
    series = tuple(
        Series(
            row.label,
            POINTS,
            row.look.style,
            (
                Point(
                    estimate.value,
                    memory,
                    note=row_note(row),
                    label=row.short_label,
                    x_interval=interval(estimate),
                ),
            ),
            is_own=row.method in OWN_METHODS,
        )
        for row, estimate, memory in shown
    )
    if not any(interval(estimate) for _, estimate, _ in shown):
        caption = f"{caption.partition(' Whiskers:')[0]} Single samples: no intervals."
    x_values = [value for _, estimate, _ in shown for value in extent(estimate)]
    figure = Figure(
        key,
        title,
        f"{caption}{left_out(comparison.rows, [item[0] for item in shown])}",
        *plane(x_values, [memory for _, _, memory in shown]),
        series,
    )
    return with_labels(figure, POINTS)
