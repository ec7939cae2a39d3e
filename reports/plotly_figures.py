"""Figures as plotly's JSON. Colours of text and grid are the page's: its script fills them in."""

import html
import math
from typing import Any

from reports.axes import Axis
from reports.figures import BAR, LEVEL, LINE, TEXT, Figure, Point, Series

_MARKER_SIZE = 10


def plotly_figure(figure: Figure) -> dict[str, Any]:
    """Return ``data`` and ``layout`` for ``Plotly.newPlot``.

    Parameters
    ----------
    figure : Figure
        What is drawn.

    Returns
    -------
    dict
        JSON-ready. Every text is escaped: plotly reads a subset of HTML in its labels.
    """
    return {
        "data": [_trace(series) for series in figure.series if series.points],
        "layout": {
            "height": figure.height + 24,
            "xaxis": _axis(figure.x),
            "yaxis": _axis(figure.y),
            "shapes": _references(figure),
        },
    }


def _text(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>")


def _axis(axis: Axis) -> dict[str, Any]:
    low, high = axis.low, axis.high
    if axis.is_log:
        low, high = math.log10(low), math.log10(high)
    return {
        "title": {"text": _text(axis.title)},
        "type": "log" if axis.is_log else "linear",
        "range": [low, high],
        "tickvals": [value for value, _ in axis.ticks],
        "ticktext": [_text(text) for _, text in axis.ticks],
        "tickangle": 0,
        "automargin": True,
        "showgrid": not axis.is_category,
    }


def _references(figure: Figure) -> list[dict[str, Any]]:
    """Lines at the base of a ratio, drawn from edge to edge."""
    shapes = []
    for name, other, axis in (("x", "y", figure.x), ("y", "x", figure.y)):
        if axis.reference is not None:
            shapes.append(
                {
                    "type": "line",
                    f"{name}ref": name,
                    f"{other}ref": "paper",
                    f"{name}0": axis.reference,
                    f"{name}1": axis.reference,
                    f"{other}0": 0,
                    f"{other}1": 1,
                    "line": {"width": 1, "dash": "dot"},
                    "layer": "between",
                }
            )
    return shapes


def _trace(series: Series) -> dict[str, Any]:
    points = series.points
    color = series.style.color
    trace: dict[str, Any] = {
        "name": _text(series.name),
        "x": [point.x for point in points],
        "y": [point.y for point in points],
        "hovertext": [_text(point.note) for point in points],
        "hoverinfo": "text" if any(point.note for point in points) else "skip",
    }
    if series.kind == BAR:
        return {
            **trace,
            "type": "bar",
            "orientation": "h",
            "x": [point.x - point.start for point in points],
            "base": [point.start for point in points],
            "width": 0.62,
            "marker": {"color": color, "opacity": 0.5 if series.is_light else 1},
            "text": [_text(point.label) for point in points],
            "textposition": "outside",
            "cliponaxis": False,
            "textangle": 0,
        }
    # plotly keeps a label as far from its point as the mark is large: so a level and a label
    # without a mark get an invisible one.
    mode = ["lines+markers"] if series.kind in {LINE, LEVEL} else ["markers"]
    is_hidden = series.kind in {LEVEL, TEXT}
    labels = [point.label if point.label_position else "" for point in points]
    if any(labels):
        mode.append("text")
    symbol = series.style.marker + ("-open" if series.is_open else "")
    trace |= {
        "type": "scatter",
        "mode": "+".join(mode),
        "marker": {
            "color": color,
            "symbol": symbol,
            "size": round(_MARKER_SIZE * series.size),
            **({"opacity": 0} if is_hidden else {}),
            **({"line": {"width": 2}} if series.is_open else {}),
        },
        "line": {"color": color, "width": 2, "dash": "dash" if series.kind == LEVEL else "solid"},
        "cliponaxis": False,
    }
    if any(labels):
        form = "<b>{}</b>" if series.is_own else "{}"
        trace["text"] = [form.format(_text(label)) if label else "" for label in labels]
        trace["textposition"] = [point.label_position or "middle right" for point in points]
    for name in ("x", "y"):
        bars = _whiskers(points, name, color)
        if bars:
            trace[f"error_{name}"] = bars
    return trace


def _whiskers(points: tuple[Point, ...], name: str, color: str) -> dict[str, Any] | None:
    intervals = [point.x_interval if name == "x" else point.y_interval for point in points]
    if not any(intervals):
        return None
    centers = [point.x if name == "x" else point.y for point in points]
    pairs = [(i or (c, c), c) for i, c in zip(intervals, centers, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(high - center, 0.0) for (_, high), center in pairs],
        "arrayminus": [max(center - low, 0.0) for (low, _), center in pairs],
        "color": color,
        "thickness": 1.5,
        "width": 4,
    }
