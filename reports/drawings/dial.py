"""The dial: memory against time at each number of checkpoints, and what is replayed for it."""

from collections.abc import Sequence
from dataclasses import replace

from reports.axes import log_axis
from reports.dial import Dial
from reports.drawings.notes import (
    BASE_NOTE,
    REPLAYED,
    comparison_key,
    configuration_text,
    extent,
    interval,
    is_loggable,
    left_out,
    memory_title,
    row_note,
)
from reports.drawings.planes import absolute_plane, ratio_plane
from reports.figures import LINE, POINTS, Figure, Point, Series, with_labels
from reports.formats import format_compact, format_count
from reports.labels import checkpoints_label
from reports.placement import POSITIONS
from reports.summaries import Comparison, Row

# First where a label does not lie on a line that falls to the right.
_BESIDE_A_FALL = tuple(
    sorted(POSITIONS, key=lambda position: position not in {"top right", "bottom left"})
)


def dial_figure(dial: Dial) -> Figure:
    """Peak memory against time: a line through the settings, every other method as a point."""
    off_curve = dial.beaten
    others = [row for row in dial.others if dial.is_measured(row)]
    shown = [*dial.curve, *off_curve, *others]
    series = [_settings(dial, dial.curve, LINE)]
    if off_curve:
        series.append(_settings(dial, off_curve, POINTS))
    series += [
        Series(row.label, POINTS, row.look.style, (_point(dial, row, row.look.short),))
        for row in others
    ]
    whiskers = (
        f"{BASE_NOTE} Whiskers: 95 % interval of the median of paired time ratios."
        if dial.is_relative
        else "Whiskers: quartiles over the rounds."
    )
    off = " Outlines: settings that another one beats in both." if off_curve else ""
    plane = ratio_plane if dial.is_relative else absolute_plane
    times = [end for row in shown if (time := dial.time(row)) for end in extent(time)]
    memory = [known for row in shown if (known := dial.memory(row))]
    figure = Figure(
        f"{comparison_key(_comparison(dial))}-dial",
        "Memory against time",
        f"{configuration_text(_comparison(dial))}. Line: the settings of symadj. {whiskers}{off}"
        f"{left_out((*dial.settings, *dial.others), shown)}",
        *plane(memory_title(dial.curve[0]), times, memory),
        tuple(series),
    )
    return with_labels(with_labels(figure, LINE, _BESIDE_A_FALL), POINTS)


def _settings(dial: Dial, rows: Sequence[Row], kind: str) -> Series:
    look = rows[0].look
    points = tuple(
        _point(dial, row, checkpoints_label(row.measurement.case.checkpoints)) for row in rows
    )
    name = look.name if kind == LINE else f"{look.name}: beaten"
    return Series(name, kind, look.style, points, is_open=kind == POINTS, is_own=True)


def _point(dial: Dial, row: Row, label: str) -> Point:
    time, memory = dial.time(row), dial.memory(row)
    if time is None or memory is None:
        raise ValueError(f"{row.label} was not measured and has no place in the figure")
    return Point(time.value, memory, row_note(row), label, x_interval=interval(time))


def _comparison(dial: Dial) -> Comparison:
    return Comparison(dial.sweep.fixed, (*dial.settings, *dial.others))


def replay_figure(dial: Dial) -> Figure | None:
    """Replayed steps against the number of checkpoints; None if nothing is replayed."""
    replays = {
        count: (row, value)
        for row in dial.settings
        if isinstance(count := row.measurement.case.checkpoints, int)
        and (value := row.measurement.value(REPLAYED)) is not None
        and is_loggable(value)
    }
    if not replays:
        return None
    run = {n: item for n, item in replays.items() if not item[0].measurement.is_left_out}
    not_run = {n: item for n, item in replays.items() if n not in run}
    free = [
        checkpoints_label(row.measurement.case.checkpoints)
        for row in dial.settings
        if row.measurement.value(REPLAYED) == 0
    ]
    nothing = f" None by {', '.join(free)}." if free else ""
    computed = " Outlines: computed, not run, as that would take too long." if not_run else ""
    series = [_replayed(items, kind) for items, kind in ((run, LINE), (not_run, POINTS)) if items]
    figure = Figure(
        f"{comparison_key(_comparison(dial))}-replays",
        "Replayed steps",
        f"{configuration_text(_comparison(dial))}. Steps taken again as a whole in the backward "
        f"pass, as fewer states than steps are kept.{nothing}{computed}",
        replace(
            log_axis("Number of checkpoints C", replays, format_compact, margins=(0.12, 0.3)),
            ticks=tuple((float(count), format_compact(count)) for count in replays),
        ),
        log_axis(
            "Replayed steps",
            [value for _, value in replays.values()],
            format_compact,
            margins=(0.12, 0.2),
        ),
        tuple(series),
    )
    return with_labels(with_labels(figure, LINE, _BESIDE_A_FALL), POINTS, _BESIDE_A_FALL)


def _replayed(items: dict[int, tuple[Row, float]], kind: str) -> Series:
    look = next(iter(items.values()))[0].look
    points = tuple(
        Point(count, value, row_note(row), format_count(value))
        for count, (row, value) in items.items()
    )
    name = look.name if kind == LINE else f"{look.name}: not run"
    return Series(name, kind, look.style, points, is_open=kind == POINTS)
