"""What leaves the site: a badge, and a summary in Markdown for a README or a pull request."""

import html
import statistics

from reports.changes import MORE, Previous, broken, changes
from reports.findings import plural, verdict
from reports.formats import format_change, format_ratio, meter
from reports.labels import OWN_METHODS
from reports.readme import markdown_table, markdown_text
from reports.summaries import Summary

_LETTER = 6.6
_MOST = 10


def badge_svg(summary: Summary) -> str:
    """Median peak memory of our first method relative to backprop's, as an SVG badge."""
    ratios = [
        row.memory_ratio
        for comparison in summary.comparisons
        for row in comparison.rows
        if row.method == OWN_METHODS[0] and row.is_usual and row.memory_ratio is not None
    ]
    label = "peak memory"
    value = f"{format_ratio(statistics.median(ratios))} backprop's" if ratios else "not measured"
    left, right = (round(len(text) * _LETTER + 14) for text in (label, value))
    color = "#0072b2" if ratios else "#5a636d"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{html.escape(label)}: {html.escape(value)}">'
        f"<title>{html.escape(label)}: {html.escape(value)}</title>"
        f'<rect width="{left + right}" height="20" rx="3" fill="#3b4249"/>'
        f'<rect x="{left}" width="{right}" height="20" rx="3" fill="{color}"/>'
        '<g fill="#ffffff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11" '
        'text-anchor="middle">'
        f'<text x="{left / 2:g}" y="14">{html.escape(label)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{html.escape(value)}</text></g></svg>\n'
    )


def summary_markdown(summary: Summary, before: Previous | None) -> str:
    """What was measured, what moved since the previous version, and the table of the README."""
    run = summary.run
    place = run.environment
    lines = [
        "## Benchmark",
        "",
        verdict(summary),
        "",
        f"Commit {run.commit[:8]} on {markdown_text(place.machine)} "
        f"({markdown_text(place.gpu or place.cpu or 'processor not recorded')}): "
        f"{plural(len(run.measurements), 'case')}, {len(summary.failures)} with failures.",
        "",
    ]
    if before is None:
        lines.append("No earlier commit was measured on this machine.")
    else:
        found = changes(before.run, run)
        worse = [item for item in found if item.verdict == MORE]
        failed = broken(before.run, run)
        lines.append(
            f"Against {markdown_text(before.name)}: {plural(len(worse), 'figure')} of {len(found)} "
            f"worse, {plural(len(failed), 'new failure')}."
        )
        for item in worse[:_MOST]:
            case = markdown_text(", ".join(map(str, item.case.fields())))
            lines.append(f"- {meter(item.meter).label}, {case}: {format_change(item.ratio)}")
        if len(worse) > _MOST:
            lines.append(f"- and {len(worse) - _MOST} more")
    return "\n".join([*lines, "", markdown_table(summary)])
