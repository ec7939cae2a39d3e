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
from reports.pages.site import Site, dump
from reports.summaries import Comparison
from reports.sweeps import AXES, Sweep, sweeps
from reports.tables import dial_table, measurement_table

_HEADINGS = {
    "tableau": "Over the order of the tableau",
    "size": "Over the size of the network",
    "steps": "Over the number of steps",
    "checkpoints": "Over the checkpoints: memory as a dial",
}
_MOST_SWEEPS = 4  # of an axis
_MOST_ROWS = 80
_MOST_LETTERS = 130_000  # of the data of a page's figures: a page has to stay small


def problem_pages(site: Site) -> None:
    """Write the list of problems, and a page for each."""
    summary = site.summary
    site.render("problems.html", "problems.html")
    found = {axis: sweeps(summary, axis) for axis in AXES}
    for problem, name in site.problem_pages.items():
        comparisons = summary.of_problem(problem)
        headline = summary.headline(problem)
        table = measurement_table(summary, comparisons, with_problem=False)
        first = site.figures(
            [
                _retitled(absolute_scatter(summary, headline), "Memory against time"),
                *bars(summary, headline),
                _retitled(error_dots(headline), "Gradient error"),
            ]
        )
        trained = site.trainings(problem)
        curves = site.figures(training_figures(trained, site.method)) if trained else []
        site.render(
            "problem.html",
            name,
            label=site.problem(problem),
            present=_methods(site, comparisons),
            command=site.command([problem]),
            headline=configuration_text(headline),
            first=first,
            axes=_axes(site, problem, found, _letters([*first, *curves])),
            trainings=trained,
            curves=curves,
            settings=explained_checkpoints(),
            num_configurations=len(comparisons),
            num_rows=len(table.rows),
            table=replace(table, rows=table.rows[:_MOST_ROWS]),
        )


def _axes(
    site: Site, problem: str, found: dict[str, tuple[Sweep, ...]], letters: int
) -> list[tuple[str, str, list[tuple[object, ...]], int]]:
    """Sections of each axis, as many as fit the page, and how many do not.

    The first section of every axis comes before the second of any; those with the most
    measurements are first.
    """
    own = {
        axis: sorted((s for s in found[axis] if s.problem == problem), key=lambda s: -len(s.rows))
        for axis in AXES
    }
    sections: dict[str, list[tuple[object, ...]]] = {axis: [] for axis in AXES}
    turns = [(axis, n) for n in range(_MOST_SWEEPS) for axis in AXES if n < len(own[axis])]
    for axis, place in turns:
        if letters > _MOST_LETTERS:
            break
        section, size = _section(site, own[axis][place])
        sections[axis].append(section)
        letters += size
    return [(a, _HEADINGS[a], sections[a], len(own[a]) - len(sections[a])) for a in AXES]


def _section(site: Site, sweep: Sweep) -> tuple[tuple[object, ...], int]:
    """Make a section of a page, and tell how much data its figures hold."""
    dial = dial_of(sweep) if sweep.axis == AXIS else None
    drawn: list[Figure | None] = [dial_figure(dial), replay_figure(dial)] if dial else []
    figures = site.figures([*drawn, *sweep_figures(site.summary, sweep)])
    section = (
        slug(f"{sweep.axis}-{sweep_text(sweep)}"),
        sweep_text(sweep),
        dial_findings(dial) if dial else [],
        figures,
        dial_table(dial) if dial else None,
    )
    return section, _letters(figures)


def _letters(figures: list[dict[str, object]]) -> int:
    return sum(len(dump(item["spec"])) for item in figures)


def _retitled(figure: Figure | None, title: str) -> Figure | None:
    """On a problem's own page the problem's name says nothing."""
    return figure and replace(figure, title=title)


def _methods(site: Site, comparisons: tuple[Comparison, ...]) -> list[object]:
    names = {row.method for comparison in comparisons for row in comparison.rows}
    return [site.method(name) for name in site.summary.methods if name in names]
