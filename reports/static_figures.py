"""Figures as SVG, by matplotlib: for pages without JavaScript, for the README, for print."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from reports.axes import Axis
from reports.figures import BAR, LEVEL, LINE, TEXT, Figure, Series
from reports.labels import MethodLabel

# Colours of everything that is not a method. In a page's own pictures they become CSS variables,
# so that a picture follows the reader's light or dark setting.
_INK, _FAINT, _GRID = "#1f2429", "#5f6872", "#d9dee3"
_DARK = {_INK: "#e8ebee", _FAINT: "#a3acb5", _GRID: "#363c43"}
_LIGHT = {_INK: _INK, _FAINT: _FAINT, _GRID: _GRID}
_NAMES = {_INK: "ink", _FAINT: "faint", _GRID: "grid"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "reports",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
}
_MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "x": "X",
    "star": "*",
}
_ALIGNMENT = {"right": "left", "left": "right", "center": "center"}
_OFFSETS = {"right": 6.0, "left": -6.0, "center": 0.0}
_RISES = {"top": (4.5, "bottom"), "bottom": (-4.5, "top"), "middle": (0.0, "center")}


def figure_svg(figure: Figure) -> str:
    """Draw one figure; its text and grid follow ``prefers-color-scheme``.

    Parameters
    ----------
    figure : Figure
        What is drawn.

    Returns
    -------
    str
        The same bytes for the same figure: no date, fixed identifiers.
    """
    with _settings():
        canvas = Canvas(figsize=(4.5, 3.2), layout="constrained", facecolor="none")
        _draw(canvas.add_subplot(), figure)
        return _adaptive(_save(canvas))


def picture_svg(figures: Sequence[Figure], methods: Sequence[MethodLabel], caption: str) -> str:
    """Draw several figures side by side with one legend, on opaque white.

    Parameters
    ----------
    figures : sequence of Figure
        At least one.
    methods : sequence of MethodLabel
        For the legend.
    caption : str
        One line below.
    """
    columns = min(len(figures), 3)
    rows = -(-len(figures) // columns)
    with _settings():
        canvas = Canvas(
            figsize=(3.7 * columns, 3.3 * rows + 0.8), layout="constrained", facecolor="white"
        )
        for place, figure in enumerate(figures, start=1):
            ax = canvas.add_subplot(rows, columns, place)
            _draw(ax, figure)
            ax.set_title(figure.title, loc="left", fontsize=10, fontweight="bold")
        handles = [
            Line2D(
                [],
                [],
                linestyle="",
                marker=_MARKERS[method.style.marker],
                color=method.style.color,
                label=method.name,
            )
            for method in methods
        ]
        canvas.legend(handles=handles, loc="outside upper center", ncols=2 * columns, frameon=False)
        canvas.supxlabel(caption, fontsize=8, color=_FAINT)
        return _plain(_save(canvas))


@contextmanager
def _settings() -> Iterator[None]:
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # A name in a script that matplotlib's font lacks is written as text all the same; only
        # its width is guessed.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _save(canvas: Canvas) -> str:
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    print_svg: Any = FigureCanvasSVG(canvas).print_svg
    print_svg(buffer, metadata=metadata)
    return buffer.getvalue().decode("utf-8")


def _adaptive(svg: str) -> str:
    """Turn the colours of text and grid into variables with a light and a dark value."""
    for color, name in _NAMES.items():
        svg = svg.replace(color, f"var(--{name})")
    light, dark = (
        "".join(f"--{_NAMES[key]}:{value};" for key, value in colors.items())
        for colors in (_LIGHT, _DARK)
    )
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    return re.sub(r"(<svg\b[^>]*>)", lambda match: match.group() + style, _plain(svg), count=1)


def _plain(svg: str) -> str:
    """Use the reader's own fonts, and leave out the preamble that names an address."""
    svg = re.sub(r"<\?xml.*?\?>\s*<!DOCTYPE.*?>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans'", _FONT)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _draw(ax: Axes, figure: Figure) -> None:
    _set_axis(ax, figure.x, "x")
    _set_axis(ax, figure.y, "y")
    for series in figure.series:
        _draw_series(ax, series)


def _set_axis(ax: Axes, axis: Axis, name: str) -> None:
    ax.set(**{f"{name}scale": "log" if axis.is_log else "linear"})
    ax.set(**{f"{name}lim": (axis.low, axis.high), f"{name}label": axis.title})
    side = ax.xaxis if name == "x" else ax.yaxis
    side.set_ticks([value for value, _ in axis.ticks], [text for _, text in axis.ticks])
    side.set_ticks([], minor=True)
    if axis.is_category:
        side.set_tick_params(length=0)
    else:
        ax.grid(axis="x" if name == "x" else "y")
    if axis.reference is not None:
        draw_line = ax.axvline if name == "x" else ax.axhline
        draw_line(axis.reference, color=_FAINT, linestyle=":", linewidth=1.2, zorder=1)


def _draw_series(ax: Axes, series: Series) -> None:
    color = series.style.color
    if series.kind == BAR:
        for point in series.points:
            ax.barh(
                point.y,
                point.x - point.start,
                left=point.start,
                height=0.62,
                color=color,
                alpha=0.5 if series.is_light else 1.0,
            )
    else:
        ax.plot(
            [point.x for point in series.points],
            [point.y for point in series.points],
            color=color,
            linestyle={LINE: "-", LEVEL: "--"}.get(series.kind, ""),
            linewidth=1.6,
            marker="" if series.kind in {LEVEL, TEXT} else _MARKERS[series.style.marker],
            markersize=6.5,
            markerfacecolor="none" if series.is_open else color,
            clip_on=False,
            zorder=3,
        )
    for point in series.points:
        if point.x_interval:
            ax.plot(
                point.x_interval, (point.y, point.y), color=color, marker="|", markersize=5, lw=1.2
            )
        if point.y_interval:
            ax.plot(
                (point.x, point.x), point.y_interval, color=color, marker="_", markersize=5, lw=1.2
            )
        if point.label and point.label_position:
            label = _draw_label(ax, point.x, point.y, point.label, point.label_position)
            label.set_fontweight("bold" if series.is_own else "normal")


def _draw_label(ax: Axes, x: float, y: float, label: str, position: str) -> Annotation:
    vertical, horizontal = position.split()
    rise, align = _RISES[vertical]
    return ax.annotate(
        label,
        (x, y),
        xytext=(_OFFSETS[horizontal], rise),
        textcoords="offset points",
        ha=_ALIGNMENT[horizontal],
        va=align,
        fontsize=8.5,
        zorder=4,
    )
