"""Figures as SVG: for pages without JavaScript, for the README, for print.

Written out by hand: what is drawn has been computed before (axes, ticks, places of labels), so that
nothing is left to a plotting library but 60 ms for each figure, of which a site has hundreds.
"""

import html
import re
from collections.abc import Callable, Iterable, Sequence

from reports.axes import Axis
from reports.figures import BAR, HEIGHT, LEVEL, LINE, TEXT, WIDTH, Figure, Point, Series
from reports.labels import MethodLabel, Style

_LETTER, _LINE = 5.8, 12.0
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_LIGHT = {"ink": "#1f2429", "faint": "#5a636d", "grid": "#dfe3e8"}
_DARK = {"ink": "#e8ebee", "faint": "#a3acb5", "grid": "#333a41"}
_PATHS = {
    "circle": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
    "square": "M-4.5-4.5h9v9h-9Z",
    "diamond": "M0-5.8L5.8 0 0 5.8-5.8 0Z",
    "triangle-up": "M0-5.2L5.6 4.6H-5.6Z",
    "triangle-down": "M0 5.2L5.6-4.6H-5.6Z",
    "cross": "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z",
    "x": "M-5-3l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3Z",
    "star": "M0-6l1.6 4h4.2l-3.3 2.7 1.2 4.3-3.7-2.5-3.7 2.5 1.2-4.3-3.3-2.7h4.2Z",
}
_ANCHORS = {"right": "start", "left": "end", "center": "middle"}
_SHIFTS = {"right": 8.0, "left": -8.0, "center": 0.0}
_RISES = {"top": -7.0, "middle": 3.5, "bottom": 15.0}

_Place = Callable[[float], float]


def marker_path(style: Style) -> str:
    """Path of a method's mark in a box from -6 to 6."""
    return _PATHS[style.marker]


def figure_svg(figure: Figure) -> str:
    """Draw one figure; its text and grid follow ``prefers-color-scheme``.

    Parameters
    ----------
    figure : Figure
        What is drawn.

    Returns
    -------
    str
        The same bytes for the same figure.
    """
    return _document(WIDTH, figure.height, _style(dark=True), _panel(figure))


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
    width, cell, top = columns * WIDTH, HEIGHT + 28, 44
    height = top + -(-len(figures) // columns) * cell + 24
    parts = [f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    x, y = 16.0, 16.0
    for method in methods:
        length = 26 + len(method.name) * _LETTER * 1.05
        if x + length > width:
            x, y = 16.0, y + 18
        parts.append(_mark(method.style, x, y))
        parts.append(_text(x + 10, y + 4, method.name))
        x += length
    for number, figure in enumerate(figures):
        left, down = number % columns * WIDTH, top + number // columns * cell
        parts.append(_text(left + 16, down + 16, figure.title, bold=True))
        parts.append(f'<g transform="translate({left},{down + 24})">{"".join(_panel(figure))}</g>')
    parts.append(_text(width / 2, height - 8, caption, anchor="middle", kind="f"))
    return _document(width, height, _style(dark=False), parts)


def sparkline_svg(values: Sequence[float], steps: Sequence[int]) -> str:
    """Draw a series as a line without axes, its steps as dots; for a cell of a table.

    Parameters
    ----------
    values : sequence of float
        Finite numbers, the oldest first; at least two.
    steps : sequence of int
        Positions at which the series steps.
    """
    low, high = min(values), max(values)
    across = 88 / (len(values) - 1)

    def spot(place: int) -> tuple[str, str]:
        share = (values[place] - low) / (high - low) if high > low else 0.5
        return _n(4 + place * across), _n(20 - 16 * share)

    line = " ".join(",".join(spot(place)) for place in range(len(values)))
    dots = "".join('<circle cx="{}" cy="{}" r="3"/>'.format(*spot(place)) for place in steps)
    return (
        '<svg class="spark" viewBox="0 0 96 24" width="96" height="24" aria-hidden="true">'
        f'<polyline points="{line}"/>{dots}</svg>'
    )


def _document(width: float, height: float, style: str, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{_FONT}" font-size="11"><style>{style}</style>'
        + "".join(parts)
        + "</svg>\n"
    )


def _style(*, dark: bool) -> str:
    """Colours of everything that is not a method, with a second set for dark pages."""

    def rules(colors: dict[str, str]) -> str:
        return (
            f"text{{fill:{colors['ink']}}}.f{{fill:{colors['faint']}}}"
            f".g{{stroke:{colors['grid']}}}.a{{stroke:{colors['faint']}}}"
        )

    other = f"@media(prefers-color-scheme:dark){{{rules(_DARK)}}}" if dark else ""
    return rules(_LIGHT) + other


def _panel(figure: Figure) -> list[str]:
    """Axes, then marks, in a box of `WIDTH` by `HEIGHT`."""
    texts = [text for _, text in figure.y.ticks]
    widest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    title = 16 if figure.y.title else 0
    left = min(widest * _LETTER + title + 10, 0.45 * WIDTH)
    lines = max((text.count("\n") + 1 for _, text in figure.x.ticks), default=1)
    right, top, bottom = WIDTH - 12.0, 10.0, figure.height - 22 - lines * _LINE

    def x_of(value: float) -> float:
        return left + (right - left) * figure.x.fraction(value)

    def y_of(value: float) -> float:
        return bottom - (bottom - top) * figure.y.fraction(value)

    parts = [
        *_x_axis(figure.x, x_of, top, bottom),
        *_y_axis(figure.y, y_of, left, right),
        f'<path class="a" fill="none" d="M{_n(left)} {_n(top)}V{_n(bottom)}H{_n(right)}"/>',
        _text((left + right) / 2, figure.height - 6, figure.x.title, anchor="middle", kind="f"),
    ]
    if figure.y.title:
        middle = (top + bottom) / 2
        turn = f' transform="rotate(-90 10 {_n(middle)})"'
        parts.append(_text(10, middle, figure.y.title, anchor="middle", kind="f", more=turn))
    for series in figure.series:
        parts += _series(series, x_of, y_of)
    return parts


def _x_axis(axis: Axis, place: _Place, top: float, bottom: float) -> list[str]:
    parts = []
    for value, text in axis.ticks:
        x = _n(place(value))
        if not axis.is_category:
            parts.append(f'<path class="g" d="M{x} {_n(top)}V{_n(bottom)}"/>')
        for number, line in enumerate(text.split("\n"), start=1):
            if line:
                parts.append(_text(place(value), bottom + 2 + number * _LINE, line, "middle"))
    if axis.reference is not None:
        x = _n(place(axis.reference))
        parts.append(f'<path class="a" stroke-dasharray="2 3" d="M{x} {_n(top)}V{_n(bottom)}"/>')
    return parts


def _y_axis(axis: Axis, place: _Place, left: float, right: float) -> list[str]:
    parts = []
    for value, text in axis.ticks:
        y = _n(place(value))
        if not axis.is_category:
            parts.append(f'<path class="g" d="M{_n(left)} {y}H{_n(right)}"/>')
        room = int((left - 8) / _LETTER)
        flat = text.replace("\n", " ")
        short = flat if len(flat) <= room else f"{flat[: room - 1]}…"
        parts.append(_text(left - 6, place(value) + 4, short, "end"))
    if axis.reference is not None:
        y = _n(place(axis.reference))
        parts.append(f'<path class="a" stroke-dasharray="2 3" d="M{_n(left)} {y}H{_n(right)}"/>')
    return parts


def _series(series: Series, x_of: _Place, y_of: _Place) -> list[str]:
    color, points, parts = series.style.color, series.points, []
    if series.kind == BAR:
        for point in points:
            start, end = x_of(point.start), x_of(point.x)
            opacity = 0.5 if series.is_light else 1
            parts.append(
                f'<rect x="{_n(start)}" y="{_n(y_of(point.y) - 7)}" width="{_n(end - start)}" '
                f'height="14" fill="{color}" opacity="{opacity}"/>'
            )
    if series.kind in {LINE, LEVEL} and points:
        line = " ".join(f"{_n(x_of(point.x))},{_n(y_of(point.y))}" for point in points)
        dash = ' stroke-dasharray="5 4"' if series.kind == LEVEL else ""
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
        )
    for point in points:
        x, y = x_of(point.x), y_of(point.y)
        parts += _whiskers(point, color, x_of, y_of)
        if series.kind not in {LEVEL, TEXT, BAR}:
            parts.append(_mark(series.style, x, y, is_open=series.is_open, size=series.size))
        if point.label and point.label_position:
            vertical, horizontal = point.label_position.split()
            parts.append(
                _text(
                    x + _SHIFTS[horizontal],
                    y + _RISES[vertical],
                    point.label,
                    _ANCHORS[horizontal],
                    bold=series.is_own,
                )
            )
    return parts


def _whiskers(point: Point, color: str, x_of: _Place, y_of: _Place) -> list[str]:
    parts = []
    pen = f'stroke="{color}" stroke-width="1.5" fill="none"'
    if point.x_interval:
        low, high = (_n(x_of(end)) for end in point.x_interval)
        y = y_of(point.y)
        ends = f"M{low} {_n(y - 3)}v6M{high} {_n(y - 3)}v6"
        parts.append(f'<path {pen} d="M{low} {_n(y)}H{high}{ends}"/>')
    if point.y_interval:
        low, high = (_n(y_of(end)) for end in point.y_interval)
        x = x_of(point.x)
        ends = f"M{_n(x - 3)} {low}h6M{_n(x - 3)} {high}h6"
        parts.append(f'<path {pen} d="M{_n(x)} {low}V{high}{ends}"/>')
    return parts


def _mark(style: Style, x: float, y: float, *, is_open: bool = False, size: float = 1.0) -> str:
    look = f'fill="{style.color}"'
    if is_open:
        look = f'fill="none" stroke="{style.color}" stroke-width="1.8"'
    scale = "" if size == 1 else f" scale({_n(size)})"
    return f'<path {look} transform="translate({_n(x)} {_n(y)}){scale}" d="{marker_path(style)}"/>'


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    *,
    bold: bool = False,
    kind: str = "",
    more: str = "",
) -> str:
    # XML has no place for control characters, however they are escaped.
    clean = html.escape(re.sub(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]", " ", text))
    look = f' class="{kind}"' if kind else ""
    look += ' font-weight="bold"' if bold else ""
    look += f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{look}{more}>{clean}</text>'


def _n(value: float) -> str:
    """Number with one decimal, or none."""
    return f"{value:.1f}".removesuffix(".0")
