"""Figures hold the measurements, and name what they cannot show."""

import math
from pathlib import Path

import pytest

from reports.drawings import absolute_scatter, bars, error_dots, ratio_scatter, sweep_figures
from reports.figures import BAR, LEVEL, TEXT, Figure
from reports.sweeps import sweeps
from tests.reports.invented import METHODS, RATIOS, Fields, Values, fields, meters, summary_of


def _points(figure: Figure, kind: str = "points") -> dict[str, tuple[float, float]]:
    return {
        series.name: (series.points[0].x, series.points[0].y)
        for series in figure.series
        if series.kind == kind
    }


def test_the_ratio_figure_holds_each_method_at_its_ratios(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})

    figure = ratio_scatter(summary, summary.comparisons[0])

    points = list(_points(figure).values())
    assert points == [pytest.approx(RATIOS[method]) for method in METHODS]
    assert figure.series[0].points[0].x_interval == pytest.approx((1.5 * 0.96, 1.5 * 1.04))
    assert (figure.x.reference, figure.y.reference) == (1.0, 1.0)
    assert "torchdiffeq backprop = 1" in figure.caption


def test_the_absolute_figure_is_in_seconds_and_bytes(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})
    row = summary.comparisons[0].rows[0]

    figure = absolute_scatter(summary, summary.comparisons[0])

    assert _points(figure)["symadj"] == (row.seconds.value, row.peak_bytes)
    assert any("iB" in text for _, text in figure.y.ticks)
    assert all(text.endswith("s") for _, text in figure.x.ticks)


def test_what_failed_or_is_missing_is_named(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        if named["method"] == "checkpoint-solve":
            return dict.fromkeys(known)
        if named["method"] == "torchdiffeq-adjoint":
            return known | {"wall_seconds": math.nan, "relative_gradient_error": math.inf}
        return known

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)
    comparison = summary.comparisons[0]

    figure = absolute_scatter(summary, comparison)
    assert len(figure.series) == 4
    assert "Failed: checkpoint per solve." in figure.caption
    assert "Not measured or not finite: torchdiffeq adjoint." in figure.caption

    time, memory = bars(summary, comparison)
    texts = {
        series.name: point.label
        for series in time.series
        for point in series.points
        if series.kind == TEXT
    }
    assert texts["checkpoint per solve"] == "failed"
    assert texts["torchdiffeq adjoint"] == "- (not measured)"
    assert "failed" in [p.label for series in memory.series for p in series.points]


def test_bars_start_at_zero_and_end_at_the_value(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))})
    row = summary.comparisons[0].rows[0]

    time, memory = bars(summary, summary.comparisons[0])

    forward, backward = (series.points[0] for series in time.series if series.kind == BAR)
    assert (forward.start, backward.start) == (0.0, forward.x)
    assert backward.x == pytest.approx(row.seconds.value)
    assert memory.series[0].points[0].x == row.peak_bytes
    assert time.x.low == memory.x.low == 0


def test_errors_of_both_kinds_and_exact_zeros_are_told(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})

    figure = error_dots(summary.comparisons[0])

    filled = [series for series in figure.series if not series.is_open]
    outlined = [series for series in figure.series if series.is_open]
    assert (len(filled), len(outlined)) == (6, 5)
    assert "Exactly 0" in figure.caption
    assert "torchdiffeq backprop (same steps)" in figure.caption
    assert figure.y.ticks[-1][1] == "symadj", "the first method is on top"


def test_nothing_known_draws_nothing(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return dict.fromkeys(meters(named), math.nan) | {"nvjp": 3.0}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)
    comparison = summary.comparisons[0]

    assert ratio_scatter(summary, comparison) is None
    assert absolute_scatter(summary, comparison) is None
    assert error_dots(comparison) is None


def test_a_sweep_shows_time_memory_and_error_on_numbers(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"New": fields("new", steps=(10, 100))})
    (sweep,) = sweeps(summary, "steps")

    figures = sweep_figures(summary, sweep)

    assert [figure.title for figure in figures] == ["Wall time", "Peak memory", "Gradient error"]
    assert figures[0].x.is_log
    assert [point.x for point in figures[0].series[0].points] == [10, 100]
    assert len({figure.key for figure in figures}) == 3


def test_sizes_that_are_no_widths_are_names(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"New": fields("new", sizes=("conv 16", "conv 4"))})
    (sweep,) = sweeps(summary, "size")

    figure = sweep_figures(summary, sweep)[0]

    assert [text for _, text in figure.x.ticks] == ["conv\n4", "conv\n16"]
    assert "conv 4" in figure.csv()


def test_levels_cross_the_whole_figure(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        is_there = (named["method"] == "symadj") == (named["checkpoints"] != "default")
        return known if is_there else dict.fromkeys(known, math.nan)

    parameters = fields("new", checkpoints=("default", "states", "stages"))
    summary = summary_of(tmp_path, {"New": parameters}, values)
    figure = sweep_figures(summary, sweeps(summary, "checkpoints")[0])[0]

    level = next(series for series in figure.series if series.kind == LEVEL)
    assert (level.points[0].x, level.points[-1].x) == (figure.x.low, figure.x.high)
    assert level.name == "symadj (stages kept)"
    assert figure.csv().count("symadj (stages kept),any,") == 1
