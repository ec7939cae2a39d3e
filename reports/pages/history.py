"""Every series over the commits of a machine: an overview, and a page for each problem."""

import csv
import io
from collections.abc import Iterable

from reports.changes import JUDGED, Track, bytes_margin, tracks
from reports.drawings import history_figure
from reports.drawings.notes import comparison_key, configuration_text, slug
from reports.formats import format_change, meter
from reports.pages.site import Site
from reports.records import CASE_FIELDS, Case
from reports.summaries import Comparison
from reports.svg import sparkline_svg
from reports.tables import Cell, Column, Table

_SHOWN = ("wall_seconds", *JUDGED)
_DRAWN = ("wall_ratio", "peak_cpu_bytes", "peak_gpu_bytes", "nfe_backward")
_ROWS_PER_PAGE = 120
_MOST_POINTS = 100
_MOST_PAGES = 4
_MOST_STEPS = 200
_MOST_COMMITS = 300


def history_pages(site: Site) -> None:
    """Write them."""
    by_problem: dict[str, list[Track]] = {}
    for track in tracks(site.runs, _SHOWN):
        by_problem.setdefault(track.case.configuration.problem, []).append(track)
    pages = {problem: f"history-{slug(problem)}.html" for problem in by_problem}
    stepped = [
        (track, place) for found in by_problem.values() for track in found for place in track.steps
    ]
    stepped.sort(key=lambda item: -item[0].points[item[1]][0])  # the newest step first
    site.render(
        "history.html",
        "history.html",
        anchors=_anchors(site),
        bytes_margin=bytes_margin(),
        runs=site.runs[-_MOST_COMMITS:][::-1],
        num_older=max(len(site.runs) - _MOST_COMMITS, 0),
        num_series=sum(map(len, by_problem.values())),
        links=[
            (site.problem(p).name, pages[p], len(found), sum(len(t.steps) for t in found))
            for p, found in by_problem.items()
        ],
        steps=_step_table(site, stepped, pages),
    )
    for problem, found in by_problem.items():
        _problem_history(site, problem, pages[problem], found)


def _problem_history(site: Site, problem: str, name: str, found: list[Track]) -> None:
    """Write the pages of one problem: figures of what stands for it, then every series."""
    headline = (
        site.summary.headline(problem)
        if problem in site.summary.problems
        else Comparison(found[0].case.configuration, ())
    )
    # What has stepped comes first, then what is judged at all.
    found.sort(key=lambda track: (-len(track.steps), track.meter not in JUDGED))
    site.files[name.replace(".html", ".csv")] = _tracks_csv(site, found)
    moving = [track for track in found if len(set(track.values)) > 1]
    listed = moving[: _ROWS_PER_PAGE * _MOST_PAGES]
    names = [
        name if k == 0 else name.replace(".html", f"-{k + 1}.html")
        for k in range(max(-(-len(listed) // _ROWS_PER_PAGE), 1))
    ]
    figures = site.figures(
        history_figure(
            comparison_key(headline),
            drawn,
            configuration_text(headline),
            [
                (track, site.method(track.case.method))
                for track in found
                if track.meter == drawn
                and track.case.configuration == headline.configuration
                and track.case.checkpoints == _usual(found, headline)
            ],
            site.runs,
        )
        for drawn in _DRAWN
    )
    for place, part in enumerate(names):
        start = place * _ROWS_PER_PAGE
        site.render(
            "history_problem.html",
            part,
            label=site.problem(problem),
            headline=configuration_text(headline),
            figures=figures if place == 0 else [],
            parts=names,
            total=len(found),
            num_constant=len(found) - len(moving),
            num_left=len(moving) - len(listed),
            data=name.replace(".html", ".csv"),
            table=_track_table(site, listed[start : start + _ROWS_PER_PAGE]),
            command=site.command([problem]),
        )


def _anchors(site: Site) -> dict[str, str]:
    """Anchor of each run in the list of commits."""
    return {run.file: f"run-{number}" for number, run in enumerate(site.runs)}


def _tracks_csv(site: Site, found: Iterable[Track]) -> str:
    """Every series in full, a line each: its case, its meter, a column for each run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CASE_FIELDS, "meter", *(run.commit for run in site.runs)])
    for track in found:
        line: list[object] = [""] * len(site.runs)
        for number, item in track.points:
            line[number] = item.values[track.meter]
        writer.writerow([*track.case.fields(), track.meter, *line])
    return text.getvalue()


def _usual(found: list[Track], headline: Comparison) -> int | str:
    kept = [t.case.checkpoints for t in found if t.case.configuration == headline.configuration]
    return "default" if "default" in kept else next(iter(kept), "default")


def _head(site: Site, case: Case) -> tuple[Cell, ...]:
    work = case.configuration
    look = site.method(case.method)
    kept = "" if case.checkpoints == "default" else f" [{case.checkpoints}]"
    return (
        Cell(f"{look.name}{kept}", style=look.style),
        Cell(f"{work.tableau}, {work.steps} steps, {work.size}"),
    )


_CASE_COLUMNS = (
    Column("Method", is_number=False),
    Column("Configuration", is_number=False),
    Column("Meter", is_number=False),
)


def _track_table(site: Site, found: Iterable[Track]) -> Table:
    rows = []
    for track in found:
        text, values = meter(track.meter).format, track.values
        first, last = values[0], values[-1]
        moved = len(set(values)) > 1
        steps = [
            f"{format_change(values[p] / values[p - 1])} at "
            f"{site.runs[track.points[p][0]].commit[:8]}"
            for p in track.steps
            if values[p - 1]
        ]
        ratio = last / first if first else None
        picture = _sparkline(track) if moved and _is_drawable(values) else ""
        rows.append(
            (
                *_head(site, track.case),
                Cell(meter(track.meter).label),
                Cell(
                    "" if picture else "constant" if len(values) > 1 else "one commit",
                    picture=picture,
                ),
                Cell(str(len(values)), value=len(values)),
                Cell(text(first), value=first),
                Cell(text(last), value=last),
                Cell(format_change(ratio), value=ratio)
                if ratio and len(values) > 1
                else Cell("-", kind="missing"),
                Cell("; ".join(steps) or _no_steps(track), kind="" if steps else "missing"),
            )
        )
    return Table(
        "Every series",
        (
            *_CASE_COLUMNS,
            Column("Over the commits", is_number=False),
            Column("Commits"),
            Column("First"),
            Column("Last"),
            Column("Last / first"),
            Column("Steps", is_number=False),
        ),
        tuple(rows),
    )


def _no_steps(track: Track) -> str:
    return "none" if track.meter in JUDGED else "not judged: seconds of two runs do not compare"


def _sparkline(track: Track) -> str:
    """The last values only: more than a picture this small can show."""
    first = max(len(track.points) - _MOST_POINTS, 0)
    return sparkline_svg(track.values[first:], [p - first for p in track.steps if p >= first])


def _is_drawable(values: list[float]) -> bool:
    return all(value - value == 0 for value in values)  # finite


def _step_table(site: Site, stepped: list[tuple[Track, int]], pages: dict[str, str]) -> Table:
    rows, anchors = [], _anchors(site)
    for track, place in stepped[:_MOST_STEPS]:
        number, _ = track.points[place]
        run, values = site.runs[number], track.values
        text = meter(track.meter).format
        problem = track.case.configuration.problem
        ratio = values[place] / values[place - 1] if values[place - 1] else None
        commit = site.loaded.commits.get(run.commit)
        verdict = track.verdict(place)
        rows.append(
            (
                Cell(
                    run.commit[:8], commit.subject if commit else "", href=f"#{anchors[run.file]}"
                ),
                Cell(site.problem(problem).name, href=pages[problem]),
                *_head(site, track.case),
                Cell(meter(track.meter).label),
                Cell(text(values[place - 1]), value=values[place - 1]),
                Cell(text(values[place]), value=values[place]),
                Cell(format_change(ratio), value=ratio) if ratio else Cell("-", kind="missing"),
                Cell(verdict, kind="worse" if verdict == "more" else "better"),
            )
        )
    left = len(stepped) - len(rows)
    return Table(
        "Steps, the newest first",
        (
            Column("Commit", is_number=False),
            Column("Problem", is_number=False),
            *_CASE_COLUMNS,
            Column("Before"),
            Column("After"),
            Column("After / before"),
            Column("Verdict", is_number=False),
        ),
        tuple(rows),
        f"{left} older steps are on the pages of the problems." if left > 0 else "",
    )
