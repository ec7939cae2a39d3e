"""A meter over the commits of a machine, a line for each method, its steps marked."""

import math
from collections.abc import Sequence
from dataclasses import replace

from reports.axes import Axis, log_axis
from reports.changes import Track
from reports.drawings.notes import is_loggable, slug
from reports.figures import LINE, POINTS, Figure, Point, Series, with_labels
from reports.formats import format_bytes, format_change, meter
from reports.labels import OWN_METHODS, MethodLabel
from reports.records import Run

_MOST_TICKS = 3
_MOST_RUNS = 60
_BOUNDS = {
    "wall_ratio": ("wall_ratio_low", "wall_ratio_high"),
    "wall_seconds": ("wall_seconds_q25", "wall_seconds_q75"),
}


def commit_axis(runs: Sequence[Run], start: int) -> Axis:
    """Axis of commits, the oldest on the left, with room for labels on the right."""
    every = math.ceil((len(runs) - start) / _MOST_TICKS)
    ticks = tuple((float(k), runs[k].commit[:7]) for k in range(start, len(runs), every))
    room = max(0.35 * (len(runs) - start), 0.6)
    return Axis("Commit", start - 0.5, len(runs) - 0.5 + room, ticks)


def history_figure(
    key: str,
    name: str,
    where: str,
    found: Sequence[tuple[Track, MethodLabel]],
    runs: Sequence[Run],
) -> Figure | None:
    """Draw one meter of one configuration; None if it was never measured.

    Parameters
    ----------
    key : str
        Of the configuration.
    name : str
        The meter.
    where : str
        The configuration, in words.
    found : sequence of (Track, MethodLabel)
        A series for each method.
    runs : sequence of Run
        The oldest first.
    """
    series = []
    start = max(len(runs) - _MOST_RUNS, 0)
    for track, look in found:
        shown = [place for place, (number, _) in enumerate(track.points) if number >= start]
        points = [_point(track, place, runs) for place in shown]
        if not points or not all(is_loggable(point.y) for point in points):
            continue
        last = points[-1]
        points[-1] = replace(last, label=look.short)
        own = track.case.method in OWN_METHODS
        series.append(Series(look.name, LINE, look.style, tuple(points), is_own=own))
        steps = tuple(_step(track, place) for place in track.steps if place in shown)
        if steps:
            style = look.style
            series.append(
                Series(f"{look.name}: steps", POINTS, style, steps, is_open=True, size=1.7)
            )
    if not series:
        return None
    described = meter(name)
    older = f" The last {_MOST_RUNS} of {len(runs)} runs." if start else ""
    figure = Figure(
        slug(f"history-{key}-{name}"),
        described.label,
        f"{where}. Rings: the series steps there, by the factor beside them.{older}"
        + (
            " Whiskers: 95 % interval. Base: torchdiffeq backprop = 1."
            if name == "wall_ratio"
            else ""
        ),
        commit_axis(runs, start),
        log_axis(
            "Time / backprop's time" if name == "wall_ratio" else described.label,
            [value for one in series for p in one.points for value in (p.y, *(p.y_interval or ()))],
            described.format,
            binary=described.format is format_bytes,
        ),
        tuple(series),
    )
    figure = with_labels(figure, LINE, ("middle right", "top right", "bottom right"))
    return with_labels(figure, POINTS, ("top center", "bottom center", "top left", "bottom left"))


def _point(track: Track, place: int, runs: Sequence[Run]) -> Point:
    number, item = track.points[place]
    value = item.values[track.meter]
    low, high = (item.values.get(end) for end in _BOUNDS.get(track.meter, ("", "")))
    interval = None if low is None or high is None or low == high or low <= 0 else (low, high)
    text = meter(track.meter).format(value)
    return Point(float(number), value, f"{runs[number].commit[:8]}: {text}", y_interval=interval)


def _step(track: Track, place: int) -> Point:
    number, item = track.points[place]
    value, before = item.values[track.meter], track.values[place - 1]
    factor = format_change(value / before) if before else "new"
    return Point(float(number), value, f"steps by {factor}", factor)
