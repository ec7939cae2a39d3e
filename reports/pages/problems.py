"""A page for each problem: what it is, its figures along every axis, its table."""

from dataclasses import replace

from reports.dial import AXIS, dial_of
from reports.dial_findings import dial_findings
from reports.drawings import (
    absolute_scatter,
    bars,
    dial_figure,
    error_dots,
    replay_figure,
    sweep_figures,
    sweep_text,
    training_figures,
)
from reports.drawings.notes import configuration_text, slug
from reports.figures import Figure
from reports.labels import explained_checkpoints
from reports.pages.site import Site
from reports.summaries import Comparison
from reports.sweeps import AXES, Sweep, sweeps
from reports.tables import dial_table, measurement_table

_HEADINGS = {
    "tableau": "Over the order of the tableau",
    "size": "Over the size of the network",
    "steps": "Over the number of steps",
    "checkpoints": "Over the checkpoints: memory as a dial",
}
_MOST_SWEEPS = 4
_MOST_ROWS = 200


def problem_pages(site: Site) -> None:
    """Write the list of problems, and a page for each."""
    summary = site.summary
    site.render("problems.html", "problems.html")
    found = {axis: sweeps(summary, axis) for axis in AXES}
    for problem, name in site.problem_pages.items():
        comparisons = summary.of_problem(problem)
        headline = summary.headline(problem)
        table = measurement_table(summary, comparisons, with_problem=False)
        site.render(
            "problem.html",
            name,
            label=site.problem(problem),
            present=_methods(site, comparisons),
            command=site.command([problem]),
            headline=configuration_text(headline),
            first=site.figures(
                [
                    _retitled(absolute_scatter(summary, headline), "Memory against time"),
                    *bars(summary, headline),
                    _retitled(error_dots(headline), "Gradient error"),
                ]
            ),
            axes=[
                (axis, _HEADINGS[axis], *_sections(site, problem, axis, found[axis]))
                for axis in AXES
            ],
            trainings=site.trainings(problem),
            curves=site.figures(training_figures(trained, site.method))
            if (trained := site.trainings(problem))
            else [],
            settings=explained_checkpoints(),
            num_configurations=len(comparisons),
            num_rows=len(table.rows),
            table=replace(table, rows=table.rows[:_MOST_ROWS]),
        )


def _sections(
    site: Site, problem: str, axis: str, found: tuple[Sweep, ...]
) -> tuple[list[tuple[object, ...]], int]:
    """Sections of an axis, those with the most measurements; and how many are left out."""
    own = sorted((s for s in found if s.problem == problem), key=lambda s: -len(s.rows))
    return [_section(site, sweep) for sweep in own[:_MOST_SWEEPS]], len(own[_MOST_SWEEPS:])


def _section(site: Site, sweep: Sweep) -> tuple[object, ...]:
    dial = dial_of(sweep) if sweep.axis == AXIS else None
    drawn: list[Figure | None] = [dial_figure(dial), replay_figure(dial)] if dial else []
    return (
        slug(f"{sweep.axis}-{sweep_text(sweep)}"),
        sweep_text(sweep),
        dial_findings(dial) if dial else [],
        site.figures([*drawn, *sweep_figures(site.summary, sweep)]),
        dial_table(dial) if dial else None,
    )


def _retitled(figure: Figure | None, title: str) -> Figure | None:
    """On a problem's own page the problem's name says nothing."""
    return figure and replace(figure, title=title)


def _methods(site: Site, comparisons: tuple[Comparison, ...]) -> list[object]:
    names = {row.method for comparison in comparisons for row in comparison.rows}
    return [site.method(name) for name in site.summary.methods if name in names]
