"""Pages from summaries: one set for each run shown, the first one at the top of the site."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jinja2

from reports.dial import AXIS, dial_of
from reports.dial_findings import dial_findings
from reports.drawings import (
    absolute_scatter,
    bars,
    dial_figure,
    error_dots,
    ratio_scatter,
    replay_figure,
    sweep_figures,
    sweep_text,
)
from reports.drawings.notes import comparison_key, configuration_text, slug
from reports.figures import Figure
from reports.findings import findings, plural, verdict
from reports.formats import format_bytes
from reports.labels import (
    MethodLabel,
    Style,
    explained_checkpoints,
    method_label,
    problem_label,
)
from reports.plotly_figures import plotly_figure
from reports.records import Loaded, Run
from reports.selection import Shown, select
from reports.static_figures import figure_svg
from reports.summaries import Comparison, Summary, summarize
from reports.sweeps import sweeps
from reports.tables import (
    dial_table,
    error_table,
    headline_table,
    measurement_table,
    measurements_csv,
)

_HERE = Path(__file__).parent
_ROWS_PER_PAGE = 250
_AXIS_HEADINGS = {
    "tableau": "Order of the tableau",
    "size": "Size of the network",
    "steps": "Number of steps",
}


@dataclass(frozen=True)
class _Site:
    """One run's part of the site: its folder, and the files made so far."""

    shown: Shown
    summary: Summary
    folder: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return "../" if self.folder else ""

    def method(self, name: str) -> MethodLabel:
        return method_label(name, self.summary.methods)


def render_site(loaded: Loaded) -> dict[str, str]:
    """Pages, figures and data of every run shown, by file name."""
    all_shown = select(loaded.runs)
    folders = _folders(all_shown)
    files: dict[str, str] = {}
    for shown, folder in zip(all_shown, folders, strict=True):
        site = _Site(shown, summarize(shown.run), folder)
        _render_run(site, loaded, list(zip(all_shown, folders, strict=True)))
        prefix = f"{folder}/" if folder else ""
        files |= {prefix + name: text for name, text in site.files.items()}
    return files


def _folders(all_shown: Iterable[Shown]) -> list[str]:
    """Folder of each run: none for the first, then machine and tool, made unique."""
    folders: list[str] = []
    for shown in all_shown:
        stem = slug(f"{shown.run.environment.machine}-{shown.run.tool}")
        name, number = stem, 2
        while name in folders:
            name, number = f"{stem}-{number}", number + 1
        folders.append(name if folders else "")
    return folders


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # tojson escapes <, >, & and ', so that no text can end the script element it stands in.
    environment.policies["json.dumps_function"] = _dump
    environment.filters["kib"] = format_bytes
    environment.filters["slug"] = slug
    environment.filters["plural"] = plural
    return environment


def _dump(value: object, **_: Any) -> str:
    return json.dumps(_rounded(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _rounded(value: object) -> object:
    """Six significant digits are more than a figure shows; the CSV files have them all."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def _render_run(site: _Site, loaded: Loaded, runs: list[tuple[Shown, str]]) -> None:
    summary = site.summary
    environment = _environment()
    problem_pages = {problem: f"problem-{slug(problem)}.html" for problem in summary.problems}
    environment.globals.update(
        run=summary.run,
        root=site.root,
        commit=short_commit(summary.run),
        problems=[(problem_label(p), problem_pages[p]) for p in summary.problems],
        methods=[site.method(name) for name in summary.methods],
        switch=[
            (shown.run, f"{site.root}{folder + '/' if folder else ''}", folder == site.folder)
            for shown, folder in runs
        ],
        num_failures=len(summary.failures),
        marker_path=marker_path,
        version_of=version_of,
    )

    def render(template: str, name: str, **context: object) -> None:
        page = environment.get_template(template)
        site.files[name] = page.render(page=name, **context)

    def figure(item: Figure) -> dict[str, object]:
        """Write a figure's files, and return what the page needs of it."""
        site.files[f"figures/{item.key}.svg"] = figure_svg(item)
        site.files[f"figures/{item.key}.csv"] = item.csv()
        return {"figure": item, "spec": plotly_figure(item)}

    def figures(items: Iterable[Figure | None]) -> list[dict[str, object]]:
        return [figure(item) for item in items if item is not None]

    headlines = [summary.headline(problem) for problem in summary.work]
    render(
        "overview.html",
        "index.html",
        verdict=verdict(summary),
        findings=findings(summary),
        ratios=figures(ratio_scatter(summary, item) for item in headlines),
        absolutes=figures(absolute_scatter(summary, item) for item in headlines),
        tables=[
            (
                problem_label(item.configuration.problem),
                problem_pages[item.configuration.problem],
                configuration_text(item),
                headline_table(item),
            )
            for item in headlines
        ],
    )
    render("problems.html", "problems.html")
    for problem, name in problem_pages.items():
        comparisons = summary.of_problem(problem)
        render(
            "problem.html",
            name,
            label=problem_label(problem),
            present=_methods(site, comparisons),
            sections=[
                (
                    comparison_key(item),
                    configuration_text(item),
                    figures([_retitled(absolute_scatter(summary, item)), *bars(summary, item)]),
                )
                for item in comparisons
            ],
            table=measurement_table(summary, comparisons, with_problem=False),
        )
    render(
        "scaling.html",
        "scaling.html",
        axes=[
            (
                axis,
                heading,
                [
                    (sweep_text(sweep), figures(sweep_figures(summary, sweep)))
                    for sweep in sweeps(summary, axis)
                ],
            )
            for axis, heading in _AXIS_HEADINGS.items()
        ],
    )
    render(
        "checkpoints.html",
        "checkpoints.html",
        settings=explained_checkpoints(),
        sections=[
            (
                comparison_key(Comparison(sweep.fixed, ())),
                sweep_text(sweep),
                dial_findings(dial) if dial else [],
                figures(
                    [
                        *([dial_figure(dial), replay_figure(dial)] if dial else []),
                        *sweep_figures(summary, sweep),
                    ]
                ),
                dial_table(dial) if dial else None,
            )
            for sweep in sweeps(summary, AXIS)
            for dial in [dial_of(sweep)]
        ],
    )
    render(
        "gradient_error.html",
        "gradient-error.html",
        figures=figures(error_dots(summary.headline(problem)) for problem in summary.problems),
        table=error_table(summary),
    )
    _render_measurements(site, render)
    render(
        "machines.html",
        "machines.html",
        shown=site.shown,
        runs=runs,
        warnings=loaded.warnings,
        failures=summary.failures,
        unused=[run for run in loaded.runs if not run.measurements],
    )


def _retitled(figure: Figure | None) -> Figure | None:
    """On a problem's own page the problem's name says nothing."""
    return figure and replace(figure, title="Memory against time")


def _methods(site: _Site, comparisons: Iterable[Comparison]) -> list[MethodLabel]:
    names = {row.method for comparison in comparisons for row in comparison.rows}
    return [site.method(name) for name in site.summary.methods if name in names]


def _render_measurements(site: _Site, render: Any) -> None:
    """The table of everything, on as many pages as keep each of them small."""
    summary = site.summary
    site.files["measurements.csv"] = measurements_csv(summary.run)
    table = measurement_table(summary, summary.comparisons, with_problem=True)
    starts = range(0, max(len(table.rows), 1), _ROWS_PER_PAGE)
    names = [f"measurements-{k}.html" if k > 1 else "measurements.html" for k in _numbers(starts)]
    for start, name in zip(starts, names, strict=True):
        part = table.rows[start : start + _ROWS_PER_PAGE]
        render(
            "measurements.html",
            name,
            table=type(table)(table.caption, table.columns, part, table.note),
            total=len(table.rows),
            parts=names,
        )


def _numbers(items: Iterable[object]) -> list[int]:
    return [number for number, _ in enumerate(items, start=1)]


def short_commit(run: Run) -> str:
    """First letters of the commit's hash."""
    return run.commit[:8]


def version_of(run: Run, package: str) -> str:
    """Version of a package in a run, or "version not recorded"."""
    return dict(run.environment.packages).get(package, "version not recorded")


def marker_path(style: Style) -> str:
    """Path of a method's mark in a box from -6 to 6, for the legends and tables of a page."""
    return {
        "circle": "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z",
        "square": "M-4.5-4.5h9v9h-9Z",
        "diamond": "M0-5.8L5.8 0 0 5.8-5.8 0Z",
        "triangle-up": "M0-5.2L5.6 4.6H-5.6Z",
        "triangle-down": "M0 5.2L5.6-4.6H-5.6Z",
        "cross": "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z",
        "x": "M-5-3l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3Z",
        "star": "M0-6l1.6 4h4.2l-3.3 2.7 1.2 4.3-3.7-2.5-3.7 2.5 1.2-4.3-3.3-2.7h4.2Z",
    }[style.marker]
