"""The page on training with several processes."""

from reports.pages.site import Site
from reports.processes import COLUMNS, rows


def processes_page(site: Site) -> None:
    """Write the page."""
    site.render(
        "processes.html",
        "processes.html",
        process_runs=[(run, rows(run)) for run in site.loaded.processes],
        process_columns=COLUMNS,
    )
