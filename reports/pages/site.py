"""One machine's part of the site while it is made: its folder, its files, how they are rendered."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jinja2

from reports.changes import Previous, previous
from reports.comparing import Pair, tableau_pairs
from reports.drawings.notes import slug
from reports.figures import WIDTH, Figure
from reports.findings import plural
from reports.formats import format_bytes, format_seconds
from reports.labels import MethodLabel, ProblemLabel, method_label, problem_label
from reports.pages.cells import mark, table_rows
from reports.plotly_figures import plotly_figure
from reports.records import Loaded, Run, Training
from reports.selection import Shown
from reports.summaries import Summary
from reports.svg import figure_svg

_NEVER = datetime.fromtimestamp(0, UTC)
_HERE = Path(__file__).parent.parent
PAGES = (
    ("index.html", "Overview"),
    ("choose.html", "Choose"),
    ("problems.html", "Problems"),
    ("paper.html", "The paper"),
    ("history.html", "History"),
    ("compare.html", "Compare"),
    ("measurements.html", "Measurements"),
    ("processes.html", "Processes"),
    ("machines.html", "Machines and method"),
)


@dataclass(frozen=True)
class Site:
    """One machine's part of the site.

    Attributes
    ----------
    loaded : Loaded
        Everything that was read.
    places : tuple of (Shown, str)
        Every run that is shown, and the folder of its pages.
    shown : Shown
        The one that these pages are about.
    summary : Summary
        Its run, compared.
    folder : str
        Folder of the pages; "" is the top of the site.
    files : dict of str to str
        What has been written so far, by name within the folder.
    """

    loaded: Loaded
    places: tuple[tuple[Shown, str], ...]
    shown: Shown
    summary: Summary
    folder: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Way from a page to the top of the site."""
        return "../" if self.folder else ""

    @property
    def run(self) -> Run:
        """The run that is shown."""
        return self.shown.run

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every run of this machine and tool, the oldest first."""
        return (*self.shown.others[::-1], self.run)

    @cached_property
    def raw(self) -> Mapping[str, str]:
        """Copy of each run's file within the site, by the file's name."""
        return raw_names(self.loaded)

    @cached_property
    def previous(self) -> Previous | None:
        """What the run shown is compared with."""
        return previous(self.run, self.shown.others, dict(self.loaded.commits))

    @cached_property
    def problem_pages(self) -> Mapping[str, str]:
        """Page of each problem."""
        return {problem: f"problem-{slug(problem)}.html" for problem in self.summary.problems}

    def trainings(self, task: str) -> tuple[Training, ...]:
        """Trainings of a task on this machine: the longest, then the newest, from every seed."""
        found = [
            training
            for training in self.loaded.trainings
            if (training.task, training.machine) == (task, self.run.environment.machine)
        ]
        found.sort(key=lambda t: (t.num_points, t.date or _NEVER, t.file))
        newest = found[-1] if found else None
        return tuple(
            training
            for training in found
            if newest is not None
            and (training.commit, training.network, training.num_points)
            == (newest.commit, newest.network, newest.num_points)
        )

    @cached_property
    def tableau_pairs(self) -> list[Pair]:
        """Every tableau against dopri5."""
        return tableau_pairs(self.summary)

    def method(self, name: str) -> MethodLabel:
        """Label of a method."""
        return method_label(name, self.summary.known_methods)

    def problem(self, name: str) -> ProblemLabel:
        """Label of a problem, with what the results tell of it."""
        return problem_label(name, self.run.problems.get(name))

    def render(self, template: str, name: str, **context: object) -> None:
        """Write a page."""
        page = _environment().get_template(template)
        self.files[name] = page.render(**self._common, page=name, **context)

    @cached_property
    def _common(self) -> dict[str, object]:
        return {
            "site": self,
            "run": self.run,
            "root": self.root,
            "pages": PAGES,
            "problems": [(self.problem(p), page) for p, page in self.problem_pages.items()],
            "methods": [self.method(name) for name in self.summary.methods],
            "commits": self.loaded.commits,
            "num_failures": len(self.summary.failures),
        }

    def figure(self, item: Figure) -> dict[str, object]:
        """Write a figure's files, and return what the page needs of it."""
        self.files[f"figures/{item.key}.svg"] = figure_svg(item)
        self.files[f"figures/{item.key}.csv"] = item.csv()
        return {"figure": item, "spec": plotly_figure(item)}

    def figures(self, items: Iterable[Figure | None]) -> list[dict[str, object]]:
        """Write figures' files; those of which nothing is known are left out."""
        return [self.figure(item) for item in items if item is not None]

    def figures_within(self, items: Iterable[Figure | None], room: int) -> list[dict[str, object]]:
        """Write figures until their data fill a room in letters: a page has to stay small."""
        made: list[dict[str, object]] = []
        for item in items:
            if item is None:
                continue
            room -= len(dump(plotly_figure(item)))
            if room < 0:
                break
            made.append(self.figure(item))
        return made

    def command(self, problems: Iterable[str]) -> str:
        """Command that measures some problems again and builds the report."""
        names = sorted({name for p in problems for name in self.run.suites.get(p, ())})
        if self.run.tool != "asv" or not names:
            return (
                "python -m pytest benchmarks/pytest_suite -o addopts= "
                "--benchmark-json=.benchmarks/run.json && python -m reports build"
                if self.run.tool != "asv"
                else "make report"
            )
        bench = " ".join(f"--bench '{name}'" for name in names)
        return (
            f"asv run -E existing:same --set-commit-hash $(git rev-parse HEAD) {bench} "
            "&& python -m reports build"
        )


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # tojson escapes <, >, & and ', so that no text can end the script element it stands in.
    environment.policies["json.dumps_function"] = dump
    filters: dict[str, Callable[..., Any]] = {
        "bytes": format_bytes,
        "seconds": format_seconds,
        "slug": slug,
        "plural": plural,
    }
    environment.filters.update(filters)
    environment.globals.update(mark=mark, table_rows=table_rows, version_of=version_of, width=WIDTH)
    return environment


def dump(value: object, **_: Any) -> str:
    """Compact JSON with six significant digits: more than is shown; the CSV files have them all."""
    return json.dumps(_rounded(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def version_of(run: Run, package: str) -> str:
    """Version of a package in a run, or "version not recorded"."""
    return dict(run.environment.packages).get(package, "version not recorded")


def raw_names(loaded: Loaded) -> dict[str, str]:
    """Names of the copies of the files that were read: a number, and what is safe of the name."""
    files = [*(run.file for run in loaded.runs), *(item.file for item in loaded.trainings)]
    return {file: f"raw/{number}-{slug(Path(file).stem)}.json" for number, file in enumerate(files)}
