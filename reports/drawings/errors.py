"""Both gradient errors of each method, as dots."""

from reports.axes import category_axis, log_axis
from reports.drawings.notes import (
    STEP_ERROR,
    TRUE_ERROR,
    comparison_key,
    configuration_text,
    is_loggable,
    left_out,
    row_note,
)
from reports.figures import POINTS, Figure, Point, Series
from reports.formats import format_power
from reports.labels import problem_label
from reports.summaries import Comparison


def error_dots(comparison: Comparison) -> Figure | None:
    """Both gradient errors of each method, the first method on top; None if none is known."""
    rows = comparison.rows[::-1]
    series: list[Series] = []
    zeros: list[str] = []
    for meter, is_open in ((TRUE_ERROR, False), (STEP_ERROR, True)):
        for position, row in enumerate(rows):
            value = row.measurement.value(meter)
            if value == 0:
                zeros.append(f"{row.label} ({'same steps' if is_open else 'true gradient'})")
            if value is None or not is_loggable(value):
                continue
            point = Point(value, position, note=row_note(row))
            name = f"{row.label}: {'same steps' if is_open else 'true gradient'}"
            style = row.look.style
            series.append(Series(name, POINTS, style, (point,), is_open=is_open))
    if not series:
        return None
    shown = [
        r for r in rows if any(r.measurement.value(m) is not None for m in (TRUE_ERROR, STEP_ERROR))
    ]
    exact = f" Exactly 0, so not on a logarithmic axis: {', '.join(zeros)}." if zeros else ""
    return Figure(
        f"{comparison_key(comparison)}-error",
        problem_label(comparison.configuration.problem).name,
        f"{configuration_text(comparison)}. Filled: against the true gradient. Outline: against "
        f"the gradient of the same steps.{exact}{left_out(comparison.rows, shown)}",
        log_axis(
            "Relative error of the gradient",
            [point.x for one in series for point in one.points],
            format_power,
            max_ticks=4,
        ),
        category_axis("", [row.label for row in rows]),
        tuple(series),
    )
