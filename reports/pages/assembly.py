"""Which pages there are, and in which folders."""

from collections.abc import Iterable

from reports.drawings.notes import slug
from reports.pages.choose import choose_page
from reports.pages.compare import compare_page, run_scripts
from reports.pages.history import history_pages
from reports.pages.machines import machines_page, measurement_pages
from reports.pages.overview import overview_page
from reports.pages.paper import paper_page
from reports.pages.problems import problem_pages
from reports.pages.processes import processes_page
from reports.pages.site import Site
from reports.records import Loaded
from reports.selection import Shown, select
from reports.summaries import summarize

_PAGES = (
    overview_page,
    choose_page,
    problem_pages,
    paper_page,
    history_pages,
    compare_page,
    measurement_pages,
    processes_page,
    machines_page,
)


def render_site(loaded: Loaded) -> dict[str, str]:
    """Pages, figures and data of every run shown, by file name."""
    all_shown = select(loaded.runs, loaded.commits)
    places = tuple(zip(all_shown, _folders(all_shown), strict=True))
    methods = {m.case.method for shown in all_shown for m in shown.run.measurements}
    methods |= {curve.method for t in loaded.trainings for curve in t.curves}
    files = run_scripts(places)
    for shown, folder in places:
        summary = summarize(shown.run, tuple(sorted(methods)))
        site = Site(loaded, places, shown, summary, folder)
        for page in _PAGES:
            page(site)
        prefix = f"{folder}/" if folder else ""
        files |= {prefix + name: text for name, text in site.files.items()}
    return files


def _folders(all_shown: Iterable[Shown]) -> list[str]:
    """Folder of each run: none for the first, then machine and tool, made unique."""
    folders: list[str] = []
    for shown in all_shown:
        stem = slug(f"{shown.run.environment.machine}-{shown.run.tool}")
        name, number = stem, 2
        while name in folders or name in {"figures", "raw", "runs"}:
            name, number = f"{stem}-{number}", number + 1
        folders.append(name if folders else "")
    return folders
