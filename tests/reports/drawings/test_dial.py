"""The figures of the dial hold its numbers, and name what they cannot show."""

from pathlib import Path

import pytest

from reports.dial import dials
from reports.drawings import dial_figure, replay_figure, sweep_figures
from reports.figures import LINE, POINTS
from reports.sweeps import sweeps
from tests.reports.invented import (
    METHODS,
    RATIOS,
    REPLAYED,
    SETTINGS,
    Fields,
    Values,
    dial_classes,
    fields,
    left_out,
    meters,
    summary_of,
)


def without_one(named: Fields) -> Values:
    """Meters where one checkpoint would take too long."""
    return left_out(named) if named["checkpoints"] == 1 else meters(named)


def test_the_line_joins_the_settings_and_every_other_method_is_a_point(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes()))

    figure = dial_figure(dial)

    line, *points = figure.series
    assert (line.kind, line.is_own) == (LINE, True)
    assert [(p.x, p.y) for p in line.points] == [
        pytest.approx(spot) for spot in list(SETTINGS.values())[::-1]
    ]
    assert [p.label for p in line.points] == ["stages", "graphs", "states", "C=16", "C=4", "C=1"]
    assert {one.kind for one in points} == {POINTS}
    assert [(one.points[0].x, one.points[0].y) for one in points] == [
        pytest.approx(RATIOS[method]) for method in METHODS[2:]
    ]
    assert figure.x.is_log
    assert figure.y.is_log
    assert (figure.x.reference, figure.y.reference) == (1.0, 1.0)


def test_every_setting_has_its_label_beside_the_line_where_there_is_room(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes(methods=METHODS[2:3])))

    positions = {point.label_position for point in dial_figure(dial).series[0].points}

    assert positions <= {"top right", "bottom left"}


def test_without_a_base_the_figure_is_in_seconds_and_bytes(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes(methods=("checkpoint-step",))))

    figure = dial_figure(dial)

    assert figure.x.reference is None
    assert figure.series[0].points[0].x == dial.curve[0].seconds.value
    assert "quartiles" in figure.caption


def test_a_setting_that_another_beats_is_an_outline_off_the_line(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return known | {"wall_ratio": 5.0} if named["checkpoints"] == "graphs" else known

    (dial,) = dials(summary_of(tmp_path, dial_classes(), values))

    figure = dial_figure(dial)

    (beaten,) = (one for one in figure.series if one.is_open)
    assert [point.label for point in beaten.points] == ["graphs"]
    assert "graphs" not in [point.label for point in figure.series[0].points]
    assert "Outlines" in figure.caption


def test_replayed_steps_against_the_number_of_checkpoints(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes()))

    figure = replay_figure(dial)

    (line,) = figure.series
    assert {point.x: point.y for point in line.points} == REPLAYED
    assert [text for _, text in figure.x.ticks] == ["1", "4", "16"]
    assert "None by states, graphs, stages." in figure.caption


def test_what_was_not_run_is_named_and_its_replays_are_an_outline(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes(), without_one))

    assert "Not run, for the steps it would replay: symadj [1]." in dial_figure(dial).caption
    line, outline = replay_figure(dial).series
    assert [point.x for point in line.points] == [4, 16]
    assert outline.is_open
    assert [(point.x, point.y) for point in outline.points] == [(1, 12_497_500)]
    assert "computed, not run" in replay_figure(dial).caption


def test_where_nothing_is_replayed_there_is_no_figure_of_it(tmp_path: Path) -> None:
    classes = {"New": fields("new", methods=("symadj",), checkpoints=("states", "stages"))}
    (dial,) = dials(summary_of(tmp_path, classes))

    assert replay_figure(dial) is None


def test_along_the_steps_every_setting_is_a_line_of_its_own(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, dial_classes(steps=(50, 500)))
    (sweep,) = sweeps(summary, "steps")

    time, *_ = sweep_figures(summary, sweep)

    names = [series.name for series in time.series]
    assert names[: len(SETTINGS)] == [f"symadj [{kept}]" for kept in SETTINGS]
    assert all([point.x for point in series.points] == [50, 500] for series in time.series)
