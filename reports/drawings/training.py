"""Training curves: the held-out loss over time and evaluations, the gradient's error on the way."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from reports.axes import Axis, linear_axis, log_axis, zero_axis
from reports.drawings.notes import is_loggable, slug
from reports.figures import LINE, Figure, Point, Series, with_labels
from reports.formats import (
    format_compact,
    format_number,
    format_power,
    format_relative,
    format_seconds,
)
from reports.labels import OWN_METHODS, MethodLabel, method_order
from reports.records import Curve, CurvePoint, Training

_Read = Callable[[CurvePoint], float | None]


@dataclass(frozen=True)
class _Plot:
    """What is drawn against what."""

    key: str
    title: str
    x_title: str
    x: _Read
    x_text: Callable[[float], str]
    y_title: str
    y: _Read


def _loss(point: CurvePoint) -> float | None:
    return point.held_out_loss


_TIME = _Plot(
    "time",
    "Held-out loss over time",
    "Time of solves and gradients (s)",
    lambda point: point.wall_seconds,
    format_seconds,
    "Held-out loss",
    _loss,
)
_EVALUATIONS = _Plot(
    "nfe",
    "Held-out loss over evaluations",
    "Evaluations of f, both passes",
    lambda point: point.num_evaluations,
    format_compact,
    "Held-out loss",
    _loss,
)
_ERROR = _Plot(
    "error",
    "Error of the gradient on the way",
    "Iteration",
    lambda point: point.iteration,
    format_compact,
    "Error, same steps (relative)",
    lambda point: point.gradient_error,
)
_GRID = "grid"


def training_figures(
    trainings: Sequence[Training], look_of: Callable[[str], MethodLabel]
) -> list[Figure]:
    """Draw one task's trainings, alike but for their seeds.

    Parameters
    ----------
    trainings : sequence of Training
        At least one; of several seeds the median is drawn, with whiskers from least to most.
    look_of : callable
        From a method to its label.
    """
    groups = dict.fromkeys((c.setting, c.dtype) for t in trainings for c in t.curves)
    figures: list[Figure | None] = []
    for setting, dtype in groups:
        # On a grid, precisions are compared: what differs is the error, not the steps.
        for plot in (_ERROR,) if setting == _GRID else (_TIME, _EVALUATIONS, _ERROR):
            figures.append(_figure(trainings, setting, dtype, plot, look_of))
    return [figure for figure in figures if figure is not None]


def _figure(
    trainings: Sequence[Training],
    setting: str,
    dtype: str,
    plot: _Plot,
    look_of: Callable[[str], MethodLabel],
) -> Figure | None:
    curves: dict[str, list[Curve]] = {}
    for training in trainings:
        for curve in training.curves:
            if (curve.setting, curve.dtype) == (setting, dtype):
                curves.setdefault(curve.method, []).append(curve)
    series, ended = [], []
    for method in sorted(curves, key=method_order):
        look = look_of(method)
        points = list(_points(curves[method], plot))
        ended += [f"{look.name} ({c.failure})" for c in curves[method] if c.failure]
        if not points:
            continue
        points[-1] = replace(points[-1], label=look.short)
        own = method in OWN_METHODS
        series.append(Series(look.name, LINE, look.style, tuple(points), is_own=own))
    if not series:
        return None
    first = trainings[0]
    num_seeds = len({training.seed for training in trainings})
    seeds = (
        f" Median of {num_seeds} seeds; whiskers: least and most."
        if num_seeds > 1
        else " One seed: a single sample."
    )
    failed = f" Ended early: {'; '.join(dict.fromkeys(ended))}." if ended else ""
    what = first.settings.get(setting, setting)
    figure = Figure(
        slug(f"training-{first.task}-{setting}-{dtype}-{plot.key}"),
        f"{plot.title}: {setting}, {dtype}",
        f"{setting} ({what}), {dtype}, {first.network}.{seeds}{failed}",
        zero_axis(plot.x_title, [p.x for s in series for p in s.points], plot.x_text),
        _y_axis(plot, [v for s in series for p in s.points for v in (p.y, *(p.y_interval or ()))]),
        tuple(series),
    )
    return with_labels(figure, LINE, ("middle right", "top right", "bottom right"))


def _points(curves: Sequence[Curve], plot: _Plot) -> Iterable[Point]:
    """Median over the seeds, iteration by iteration, as far as every seed came."""
    for together in zip(*(curve.points for curve in curves), strict=False):
        xs, ys = [plot.x(point) for point in together], [plot.y(point) for point in together]
        if None in xs or None in ys:
            continue
        places = [x for x in xs if x is not None]
        values = [y for y in ys if y is not None and math.isfinite(y)]
        if len(values) < len(ys) or (plot is _ERROR and not all(map(is_loggable, values))):
            continue
        y = statistics.median(values)
        text = (format_relative if plot is _ERROR else format_number)(y)
        yield Point(
            statistics.median(places),
            y,
            f"iteration {together[0].iteration}: {text}",
            y_interval=(min(values), max(values)) if len(values) > 1 else None,
        )


def _y_axis(plot: _Plot, values: Sequence[float]) -> Axis:
    """Errors, and losses that fall by orders of magnitude, are drawn logarithmically."""
    if plot is _ERROR:
        return log_axis(plot.y_title, values, format_power)
    if min(values) > 0 and max(values) > 10 * min(values):
        return log_axis(f"{plot.y_title} (logarithmic)", values, format_number)
    return linear_axis(plot.y_title, values, format_number)
