"""What the README shows: one picture and one Markdown table, made from the results alone."""

import math

from reports.drawings import ratio_scatter
from reports.drawings.notes import BASE_NOTE, STEP_ERROR, TRUE_ERROR
from reports.formats import FAILED, NOT_MEASURED, format_interval, format_ratio, format_relative
from reports.labels import BASE_METHOD, OWN_METHODS, method_label
from reports.records import OUTCOMES
from reports.summaries import Row, Summary
from reports.svg import picture_svg


def overview_picture(summary: Summary) -> str:
    """Memory against time of every method, one panel a problem, as SVG.

    Raises
    ------
    ValueError
        No problem has both a time ratio and a memory ratio.
    """
    figures = [
        figure
        for problem in summary.work
        if (figure := ratio_scatter(summary, summary.headline(problem))) is not None
    ]
    if not figures:
        raise ValueError("no case has both wall_ratio and peak memory beside torchdiffeq-backprop")
    labels = [method_label(method, summary.known_methods) for method in summary.methods]
    return picture_svg(figures, labels, f"{BASE_NOTE} Nearer the lower left corner is better.")


def markdown_table(summary: Summary) -> str:
    """The symplectic adjoint against each other method, one row a problem and method.

    Times against another method than the base are quotients of both methods' medians of paired
    ratios to the base; the interval stands where it was measured, beside the base. Errors are
    those of the first of our methods, then of the other.
    """
    own = [method for method in OWN_METHODS if method in summary.methods]
    names = [method_label(method).name for method in own]
    header = ["problem", "against"]
    for name in names:
        header += [f"{name}: time", f"{name}: peak memory"]
    first = names[0] if names else NOT_MEASURED
    for error in ("true gradient", "gradient of the same steps"):
        header.append(f"error, {error}: {first} / other")
    lines = [_line(header), _line(["---"] * 2 + ["---:"] * (len(header) - 2))]
    for problem in summary.work:
        comparison = summary.headline(problem)
        ours = [comparison.row(method) for method in own]
        for other in comparison.rows:
            if other.method in own or other.measurement.reason == OUTCOMES[1]:
                continue  # what is not installed says nothing of itself
            cells = [summary.problem_name(problem), other.label]
            for row in ours:
                cells += [_time(row, other), _memory(row, other)]
            pair = (ours[0] if ours else None, other)
            for error in (TRUE_ERROR, STEP_ERROR):
                cells.append(" / ".join(_error(row, error) for row in pair))
            lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"


def markdown_text(text: str) -> str:
    """Keep a name from ending a cell of a table, or starting markup."""
    for character in ("\\", "|", "<", "`", "*", "_", "["):
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def _time(row: Row | None, other: Row) -> str:
    if row is None:
        return NOT_MEASURED
    if row.time_ratio is None:
        return _absent(row, "wall_ratio")
    ratio = row.time_ratio
    if other.method == BASE_METHOD:
        text = format_ratio(ratio.value)
        if ratio.low is None or ratio.high is None:
            return text
        return f"{text} ({format_interval(ratio.low, ratio.high, format_ratio)})"
    if other.time_ratio is None:
        return _absent(other, "wall_ratio")
    return _quotient(ratio.value, other.time_ratio.value)


def _memory(row: Row | None, other: Row) -> str:
    if row is None:
        return NOT_MEASURED
    for item in (row, other):
        if item.peak_bytes is None:
            return _absent(item, item.memory_meter)
    return _quotient(row.peak_bytes or 0.0, other.peak_bytes or 0.0)


def _quotient(value: float, base: float) -> str:
    return format_ratio(value / base) if base and math.isfinite(base) else NOT_MEASURED


def _error(row: Row | None, name: str) -> str:
    if row is None:
        return NOT_MEASURED
    value = row.measurement.value(name)
    if value is not None:
        return format_relative(value)
    return _absent(row, name)


def _absent(row: Row, meter: str) -> str:
    if meter in row.measurement.failed:
        return FAILED
    return row.measurement.reason or NOT_MEASURED
