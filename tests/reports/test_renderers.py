"""Both renderers draw the same figure data; neither lets a name act as markup."""

import dataclasses
import html
import json
import re
from pathlib import Path

import plotly.graph_objects as go
import pytest

from reports.dial import dials
from reports.drawings import (
    absolute_scatter,
    bars,
    dial_figure,
    error_dots,
    ratio_scatter,
    replay_figure,
    sweep_figures,
)
from reports.figures import LINE, Figure
from reports.labels import method_label
from reports.plotly_figures import plotly_figure
from reports.svg import figure_svg, picture_svg
from reports.sweeps import AXES, sweeps
from tests.reports.invented import ALL_PROBLEMS, plausible, summary_of


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> list[Figure]:
    summary = summary_of(tmp_path_factory.mktemp("results"), ALL_PROBLEMS, plausible)
    item = summary.headline("digits-cnf")
    made = [ratio_scatter(summary, item), absolute_scatter(summary, item), error_dots(item)]
    made += bars(summary, item)
    for dial in dials(summary):
        made += [dial_figure(dial), replay_figure(dial)]
    made = [figure for figure in made if figure is not None]
    for axis in AXES:
        made += sweep_figures(summary, sweeps(summary, axis)[0])[:1]
    return made


def test_plotly_accepts_every_figure_and_gets_every_number(figures: list[Figure]) -> None:
    for figure in figures:
        spec = plotly_figure(figure)
        go.Figure(spec)  # raises on a property that plotly does not know
        json.dumps(spec, allow_nan=False)
        assert len(spec["data"]) == len(figure.series)
        for trace, series in zip(spec["data"], figure.series, strict=True):
            assert trace["y"] == [point.y for point in series.points]
            starts = trace.get("base", [0.0] * len(series.points))
            ends = [x + start for x, start in zip(trace["x"], starts, strict=True)]
            assert ends == pytest.approx([point.x for point in series.points])
        for name, axis in (("xaxis", figure.x), ("yaxis", figure.y)):
            assert spec["layout"][name]["type"] == ("log" if axis.is_log else "linear")
            assert spec["layout"][name]["tickvals"] == [value for value, _ in axis.ticks]


def test_intervals_are_drawn_by_both(figures: list[Figure]) -> None:
    figure = figures[0]
    trace = plotly_figure(figure)["data"][0]
    point = figure.series[0].points[0]
    assert point.x + trace["error_x"]["array"][0] == pytest.approx(point.x_interval[1])
    assert point.x - trace["error_x"]["arrayminus"][0] == pytest.approx(point.x_interval[0])

    bare = dataclasses.replace(point, x_interval=None)
    series = dataclasses.replace(figure.series[0], points=(bare,))
    without = dataclasses.replace(figure, series=(series, *figure.series[1:]))
    assert figure_svg(figure) != figure_svg(without)


def test_the_svg_shows_the_same_ticks_titles_and_labels(figures: list[Figure]) -> None:
    for figure in figures:
        svg = figure_svg(figure)
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
        words = " ".join(texts)
        for _, text in figure.x.ticks:
            assert all(line in texts or line in words for line in text.split("\n"))
        for _, text in figure.y.ticks:
            assert any(shown.rstrip("…") and text.startswith(shown.rstrip("…")) for shown in texts)
        assert figure.x.title in [html.unescape(text) for text in texts]
        colors = {series.style.color for series in figure.series if series.kind == LINE}
        assert all(color in svg for color in colors)


def test_the_svg_is_the_same_each_time_and_names_no_address(figures: list[Figure]) -> None:
    for figure in figures[:2]:
        svg = figure_svg(figure)
        assert svg == figure_svg(figure)
        addresses = set(re.findall(r"https?://[^\s\"'<]+", svg))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert "prefers-color-scheme:dark" in svg


def test_names_are_text_in_both(figures: list[Figure]) -> None:
    name = "<b onclick='x'>&amp;</b> $\\alpha$ 数"
    series = dataclasses.replace(figures[0].series[0], name=name)
    point = dataclasses.replace(series.points[0], label=name, note=name)
    series = dataclasses.replace(series, points=(point,))
    figure = dataclasses.replace(figures[0], series=(series,))

    trace = plotly_figure(figure)["data"][0]
    for text in (trace["name"], *trace["hovertext"], *trace["text"]):
        assert "<b onclick" not in text
        assert "&lt;b onclick" in text
    svg = figure_svg(figure)
    assert "<b onclick" not in svg
    assert "$\\alpha$" in svg


def test_the_picture_has_every_panel_a_legend_and_a_white_ground(figures: list[Figure]) -> None:
    labels = [method_label("symadj"), method_label("torchdiffeq-backprop")]

    svg = picture_svg(figures[:2], labels, "Lower is better.")

    assert "torchdiffeq backprop" in svg
    assert "Lower is better." in svg
    assert re.search(r'<rect width="\d+" height="\d+" fill="#ffffff"/>', svg)
    assert "prefers-color-scheme" not in svg
    assert svg.count(f">{figures[0].title}<") >= 1


def test_the_csv_holds_every_mark(figures: list[Figure], tmp_path: Path) -> None:
    for figure in figures[:3]:
        lines = figure.csv().splitlines()
        assert len(lines) == 1 + sum(len(series.points) for series in figure.series)
        assert repr(figure.series[0].points[0].x) in figure.csv()
