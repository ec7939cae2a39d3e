"""Words of the figures: keys, titles, captions, what is told of a point."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from reports.formats import (
    format_bytes,
    format_count,
    format_interval,
    format_ratio,
    format_relative,
    format_seconds,
)
from reports.summaries import Comparison, Estimate, Row, Summary

TRUE_ERROR = "relative_gradient_error"
STEP_ERROR = "relative_step_gradient_error"
REPLAYED = "num_replayed_steps"
BASE_NOTE = "Base of the ratios: torchdiffeq backprop = 1."


def slug(text: str) -> str:
    """Part of a file name or an anchor: lower-case letters, digits and dashes.

    >>> slug("43-860-860-43 batch 1000"), slug("<script>")
    ('43-860-860-43-batch-1000', 'script')
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def comparison_key(comparison: Comparison) -> str:
    """Anchor of a configuration."""
    work = comparison.configuration
    return slug(f"{work.problem}-{work.tableau}-{work.size}-{work.steps}")


def configuration_text(comparison: Comparison) -> str:
    """Tableau, size and steps as one line."""
    work = comparison.configuration
    return f"{work.tableau}, {work.steps} steps, {work.size}"


def memory_title(summary_or_row: Summary | Row) -> str:
    """Title of an axis of memory."""
    is_gpu = summary_or_row.memory_meter == "peak_gpu_bytes"
    return "Peak GPU memory" if is_gpu else "Peak memory"


def is_loggable(value: float) -> bool:
    """Whether a logarithmic axis can show it."""
    return math.isfinite(value) and value > 0


def extent(estimate: Estimate) -> list[float]:
    return [estimate.value, *(interval(estimate) or ())]


def interval(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    if not (is_loggable(estimate.low) and is_loggable(estimate.high)):
        return None
    return (estimate.low, estimate.high)


def configuration_note(row: Row) -> str:
    """Configuration of a row, for a note."""
    return configuration_text(Comparison(row.measurement.case.configuration, (row,)))


def row_note(row: Row) -> str:
    """Everything worth knowing of a point."""
    lines = [row.label]
    if row.seconds is not None:
        lines.append(f"time: {format_estimate(row.seconds, format_seconds)}")
    if row.time_ratio is not None:
        lines.append(f"time / backprop's: {format_estimate(row.time_ratio, format_ratio)}")
    if row.peak_bytes is not None:
        lines.append(f"{memory_title(row).lower()}: {format_bytes(row.peak_bytes)}")
    if row.memory_ratio is not None:
        lines.append(f"memory / backprop's: {format_ratio(row.memory_ratio)}")
    replayed = row.measurement.value(REPLAYED)
    if replayed is not None:
        left = ", had it been run" if row.measurement.is_left_out else ""
        lines.append(f"steps replayed{left}: {format_count(replayed)}")
    for meter, name in ((TRUE_ERROR, "true gradient"), (STEP_ERROR, "same steps")):
        value = row.measurement.value(meter)
        if value is not None:
            lines.append(f"error, {name}: {format_relative(value)}")
    return "\n".join(lines)


def format_estimate(estimate: Estimate, text: Callable[[float], str]) -> str:
    """Value with its interval."""
    if estimate.low is None or estimate.high is None:
        return text(estimate.value)
    return f"{text(estimate.value)} ({format_interval(estimate.low, estimate.high, text)})"


def left_out(rows: Iterable[Row], shown: Sequence[Row]) -> str:
    """Sentences that name what a figure does not show: failed, not run, then the rest."""
    missing = [row for row in rows if row not in shown]
    failed = [row.label for row in missing if row.measurement.failed]
    not_run = [row.label for row in missing if row.measurement.is_left_out]
    known = [row for row in missing if not row.measurement.failed and row.measurement.reason]
    other = [
        row.label
        for row in missing
        if not row.measurement.failed
        and not row.measurement.is_left_out
        and not row.measurement.reason
    ]
    text = ""
    if failed:
        text += f" Failed: {', '.join(dict.fromkeys(failed))}."
    if not_run:
        text += f" Not run, for the steps it would replay: {', '.join(dict.fromkeys(not_run))}."
    reasons = dict.fromkeys(f"{row.label} ({row.measurement.reason})" for row in known)
    if reasons:
        text += f" Without these figures: {', '.join(reasons)}."
    if other:
        text += f" Not measured or not finite: {', '.join(dict.fromkeys(other))}."
    return text
