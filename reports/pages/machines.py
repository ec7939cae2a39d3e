"""Where the numbers come from: machines, versions, files, and the table of everything."""

from dataclasses import replace

from reports.pages.site import Site
from reports.tables import measurement_table, measurements_csv

_ROWS_PER_PAGE = 200


def machines_page(site: Site) -> None:
    """Write the page of machines, versions, fairness and files."""
    site.render(
        "machines.html",
        "machines.html",
        shown=site.shown,
        places=site.places,
        warnings=site.loaded.warnings,
        trainings=site.loaded.trainings,
        trained=[t.file for p in site.summary.problems for t in site.trainings(p)],
        failures=site.summary.failures,
        unused=[run for run in site.loaded.runs if not run.measurements],
    )


def measurement_pages(site: Site) -> None:
    """Write the table of everything, on as many pages as keep each of them small."""
    summary = site.summary
    site.files["measurements.csv"] = measurements_csv(summary.run)
    table = measurement_table(summary, summary.comparisons, with_problem=True)
    starts = range(0, max(len(table.rows), 1), _ROWS_PER_PAGE)
    names = [f"measurements-{k}.html" if k > 1 else "measurements.html" for k in _numbers(starts)]
    for start, name in zip(starts, names, strict=True):
        site.render(
            "measurements.html",
            name,
            table=replace(table, rows=table.rows[start : start + _ROWS_PER_PAGE]),
            total=len(table.rows),
            parts=names,
        )


def _numbers(items: range) -> list[int]:
    return [number for number, _ in enumerate(items, start=1)]
