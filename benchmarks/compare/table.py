"""The table of a comparison: as text for a terminal, as Markdown for a pull request, as a page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.tolerances import Threshold

from .verdicts import Row, Status, exit_status

COLUMNS = ("", "case", "metric", "base", "head", "head / base", "how sure")
_MARKS = {
    Status.BROKEN: "✗",
    Status.WORSE: "✗",
    Status.UNKNOWN: "?",
    Status.ACCEPTED: "!",
    Status.BETTER: "✓",
    Status.SAME: "=",
}


@dataclass(frozen=True)
class Report:
    """What is told of a comparison.

    Attributes
    ----------
    base, head : str
        What was compared.
    place : str
        Machine and versions.
    rows : tuple of Row
    thresholds : mapping from metric to Threshold
    notes : tuple of str
        What else is to be known, such as lines of a journal that could not be read.
    """

    base: str
    head: str
    place: str
    rows: tuple[Row, ...]
    thresholds: Mapping[str, Threshold]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The whole in one sentence."""
        counts = {status: sum(row.status is status for row in self.rows) for status in Status}
        said = [
            f"{counts[status]} {status.word}"
            for status in Status
            if counts[status] and status is not Status.SAME
        ]
        works = len({row.work for row in self.rows})
        changes = ", ".join(said) if said else "no change"
        return f"{changes} among {len(self.rows)} figures of {works} cases"

    @property
    def changed(self) -> tuple[Row, ...]:
        """The rows worth a look, worst first: all but those that say that nothing changed."""
        worth = [row for row in self.rows if row.status is not Status.SAME or not row.metric]
        return tuple(sorted(worth, key=lambda row: row.status))

    @property
    def times(self) -> tuple[Row, ...]:
        """The rows of noisy metrics, which are shown with their intervals, changed or not."""
        return tuple(row for row in self.rows if row.ratio is not None)

    def cells(self, row: Row) -> tuple[str, ...]:
        """Return a row's texts, one for each of `COLUMNS`."""
        threshold = self.thresholds.get(row.metric)
        title = threshold.title if threshold else row.metric or "the whole case"
        base, head = (_value(row.metric, value) for value in (row.base, row.head))
        return (
            f"{_MARKS[row.status]} {row.status.word}",
            row.work,
            title,
            base,
            head,
            _ratio(row),
            _sureness(row),
        )


def as_text(report: Report) -> str:
    """Return the table for a terminal: what changed, and every time."""
    shown = _shown(report)
    lines = [f"{report.base}  ->  {report.head}", report.place, ""]
    for row in shown:
        mark, work, title, base, head, ratio, sure = report.cells(row)
        values = f"{base} -> {head}" if row.base is not None or row.head is not None else ""
        parts = [part for part in (values, ratio and f"x {ratio}", sure) if part]
        lines += [
            f"{mark:<16} {title}: {work}",
            *([f"{'':<16}   {'; '.join(parts)}"] if parts else []),
        ]
    lines += [f"note: {note}" for note in report.notes]
    return "\n".join([*lines, "", report.verdict, ""])


def as_markdown(report: Report) -> str:
    """Return the table for a comment on a pull request."""
    lines = [f"**{_markdown(report.verdict)}**", ""]
    lines += [f"{_markdown(report.base)} → {_markdown(report.head)}, {_markdown(report.place)}", ""]
    shown = _shown(report)
    if shown:
        lines += [_markdown_row(COLUMNS), _markdown_row(["---"] * len(COLUMNS))]
        lines += [_markdown_row(map(_markdown, report.cells(row))) for row in shown]
        lines.append("")
    lines += [f"- {_markdown(note)}" for note in report.notes]
    return "\n".join(lines).rstrip() + "\n"


def as_page(report: Report) -> str:
    """Return a page of its own: no script, nothing loaded, every text escaped."""
    body = [
        f"<h1>{html.escape(report.base)} → {html.escape(report.head)}</h1>",
        f'<p class="verdict">{html.escape(report.verdict)}</p>',
        f"<p>{html.escape(report.place)}</p>",
        "<h2>What changed, and every time</h2>",
        _html_table(report, _shown(report)) or "<p>Nothing changed.</p>",
    ]
    if report.notes:
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in report.notes)
        body.append(f"<h2>Notes</h2><ul>{notes}</ul>")
    body += ["<h2>Every figure</h2>", _html_table(report, report.rows)]
    reasons = "".join(
        f"<dt>{html.escape(each.title)} <code>{html.escape(each.metric)}</code></dt>"
        f"<dd>{html.escape(_limits(each))}. {html.escape(each.reason)}</dd>"
        for each in report.thresholds.values()
    )
    body.append(f"<h2>What counts as a change</h2><dl>{reasons}</dl>")
    title = html.escape(f"{report.base} → {report.head}")
    return _PAGE.format(title=title, body="\n".join(body))


def as_plain(report: Report, date: str) -> dict[str, object]:
    """Return what a report shows of it, for JSON: see `reports.loaders.comparisons`."""
    shown = _shown(report)
    return {
        "schema": 1,
        "base": report.base,
        "head": report.head,
        "place": report.place,
        "date": date,
        "verdict": report.verdict,
        "exit_status": exit_status(report.rows),
        "columns": ["verdict", *COLUMNS[1:]],
        "rows": [{"status": row.status.name, "cells": report.cells(row)} for row in shown],
        "notes": report.notes,
    }


def _shown(report: Report) -> list[Row]:
    return list(dict.fromkeys((*report.changed, *report.times)))


def _value(metric: str, value: float | None) -> str:
    if value is None:
        return ""
    if metric.endswith("seconds"):
        return f"{value * 1e3:.3g} ms"
    if metric.endswith("share"):
        return f"{value:.1%}"
    if metric.endswith("error"):
        return f"{value:.1e}"
    return f"{value:,.0f}"


def _ratio(row: Row) -> str:
    if row.ratio is not None:
        return str(row.ratio)
    if row.base and row.head is not None:
        return f"{row.head / row.base:.4g}"
    return ""


def _sureness(row: Row) -> str:
    if row.ratio is None:
        measured = row.base is not None and row.head is not None
        return row.note or ("exact" if measured else "")
    control = f"base / base {row.control}" if row.control else ""
    return "; ".join(part for part in (control, row.note) if part)


def _limits(threshold: Threshold) -> str:
    if not threshold.numbers:
        return threshold.kind
    limits = ", ".join(f"{name} {value:g}" for name, value in sorted(threshold.numbers.items()))
    return f"{threshold.kind}: {limits}"


_MARKDOWN_SPECIAL = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "\\`*_[]|#~"},
        "<": "&lt;",
        ">": "&gt;",
        "@": "&#64;",  # mentions nobody
        "\n": " ",
        "\r": " ",
    }
)


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return text.translate(_MARKDOWN_SPECIAL)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _html_table(report: Report, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in COLUMNS)
    body = "".join(
        f'<tr class="{row.status.name.lower()}">'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in report.cells(row))
        + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto;
  padding: 0 1rem; }}
.verdict {{ font-size: 1.25rem; font-weight: 600; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.875rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.25rem 0.75rem;
  border-bottom: 1px solid #8884; }}
td:first-child {{ white-space: nowrap; }}
.worse td, .broken td {{ background: #d550001f; }}
.better td {{ background: #0072b21f; }}
.unknown td, .accepted td {{ background: #e69f001f; }}
dt {{ font-weight: 600; margin-top: 0.5rem; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""
