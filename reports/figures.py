"""What is drawn: numbers, names, places. Both renderers draw these and compute nothing."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.axes import Axis
from reports.labels import Style
from reports.placement import POSITIONS, place

WIDTH, HEIGHT = 374, 266
POINTS, LINE, LEVEL, BAR, TEXT = "points", "line", "level", "bar", "text"


@dataclass(frozen=True)
class Point:
    """One mark.

    Attributes
    ----------
    x, y : float
        Place, in data units; positions on an axis of names. For a bar, ``x`` is its end.
    note : str
        What is told when the point is pointed at; lines are separated by newlines.
    label : str
        Text beside the point.
    label_position : str
        One of `reports.placement.POSITIONS`; "" draws no label.
    x_interval, y_interval : (float, float) or None
        Ends of the whiskers, in data units.
    start : float
        Where a bar begins.
    """

    x: float
    y: float
    note: str = ""
    label: str = ""
    label_position: str = ""
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    start: float = 0.0


@dataclass(frozen=True)
class Series:
    """Marks that belong together.

    Attributes
    ----------
    name : str
        In the legend and in the CSV file.
    kind : {"points", "line", "level", "bar", "text"}
        How they are drawn: marks, marks joined by a line, a dashed line without marks, horizontal
        bars, or labels with whiskers only.
    style : Style
        Colour and shape of the method.
    points : tuple of Point
        The marks.
    is_open : bool
        Marks are outlines.
    is_light : bool
        Bars are pale.
    is_own : bool
        Labels are bold: the method that the report is about.
    size : float
        Of the marks, as a multiple of the usual.
    """

    name: str
    kind: str
    style: Style
    points: tuple[Point, ...]
    is_open: bool = False
    is_light: bool = False
    is_own: bool = False
    size: float = 1.0


@dataclass(frozen=True)
class Figure:
    """One panel.

    Attributes
    ----------
    key : str
        Its anchor and the stem of its files, unique in a site.
    title : str
        Heading.
    caption : str
        What it shows, what base ratios have, and what could not be drawn.
    x, y : Axis
        The axes.
    series : tuple of Series
        What is drawn.
    """

    key: str
    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]

    @property
    def height(self) -> int:
        """Height in pixels: names above one another need room."""
        return max(HEIGHT, 70 + 16 * len(self.y.ticks)) if self.y.is_category else HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(series.points for series in self.series)

    def csv(self) -> str:
        """Numbers of the figure, one mark a line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        x, y = self.x.title, self.y.title
        header = ["series", x, f"{x} (low)", f"{x} (high)", y, f"{y} (low)", f"{y} (high)"]
        writer.writerow([*header, "label"])
        for series in self.series:
            is_level = series.kind == LEVEL
            for point in series.points[:1] if is_level else series.points:
                writer.writerow(
                    [
                        series.name,
                        "any" if is_level else self.x.text(point.x),
                        *(point.x_interval or ("", "")),
                        self.y.text(point.y),
                        *(point.y_interval or ("", "")),
                        point.label,
                    ]
                )
        return text.getvalue()


def with_labels(figure: Figure, kind: str, positions: Sequence[str] = POSITIONS) -> Figure:
    """Give each label of the series of one kind a place where it touches nothing.

    Parameters
    ----------
    figure : Figure
        Its points may have labels without a position.
    kind : str
        Kind of the series whose labels are placed; the others only keep their place free.
    positions : sequence of str
        What may be chosen, the best first.
    """
    x, y = figure.x, figure.y
    flat = [(series, point) for series in figure.series for point in series.points]
    ends = [
        point.x_interval or ((x.low, x.high) if series.kind == LEVEL else (point.x, point.x))
        for series, point in flat
    ]
    chosen = place(
        [(x.fraction(point.x), y.fraction(point.y)) for _, point in flat],
        [p.label if series.kind == kind or p.label_position else "" for series, p in flat],
        positions,
        [(x.fraction(low), x.fraction(high)) for low, high in ends],
        [point.label_position for _, point in flat],
    )
    spots = iter(chosen)
    placed = [
        replace(
            series,
            points=tuple(replace(point, label_position=next(spots)) for point in series.points),
        )
        for series in figure.series
    ]
    return replace(figure, series=tuple(placed))
