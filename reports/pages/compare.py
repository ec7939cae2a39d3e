"""One thing against another: ready-made tables, and the data for any two that a reader picks."""

from datetime import UTC, datetime

from reports.changes import LESS, MORE, SAME, UNDECIDED, broken, changes, surroundings
from reports.comparing import change_table, machine_pairs, method_pairs, pair_table, version_table
from reports.labels import method_label, problem_label
from reports.pages.site import Site, dump
from reports.records import Run
from reports.selection import Shown
from reports.summaries import summarize

VERSIONS, TABLEAUS, METHODS, MACHINES = "versions", "tableaus", "methods", "machines"
_METERS = (
    "wall_seconds",
    "wall_ratio",
    "peak_cpu_bytes",
    "peak_gpu_bytes",
    "nfe_forward",
    "nfe_backward",
    "relative_gradient_error",
)
_NEVER = datetime.fromtimestamp(0, UTC)
_MOST_COMPARISONS = 20
_MOST_RUNS = 60  # of each machine, the newest: what a reader can pick from


def compare_page(site: Site) -> None:
    """Write it."""
    summary, before = site.summary, site.previous
    found = changes(before.run, site.run) if before else ()
    latest = sorted(site.loaded.comparisons, key=lambda item: item.date or _NEVER, reverse=True)
    moved = [item for item in found if item.verdict in {MORE, LESS}]
    others = [
        (
            shown.run,
            pair_table(
                f"{shown.run.environment.machine} over {site.run.environment.machine}",
                ("Problem", "Method", "Configuration"),
                machine_pairs(summary, summarize(shown.run, summary.known_methods)),
            ),
        )
        for shown, folder in site.places
        if folder != site.folder
    ]
    site.render(
        "compare.html",
        "compare.html",
        before=before,
        moved=_moved(before.run, site.run) if before else [],
        counts={
            verdict: sum(item.verdict == verdict for item in found)
            for verdict in (MORE, LESS, UNDECIDED, SAME)
        },
        broken=broken(before.run, site.run) if before else (),
        changed=change_table("What moved", moved, summary),
        tableaus=pair_table(
            "Each tableau over dopri5",
            ("Problem", "Method", "Tableaus"),
            site.tableau_pairs,
        ),
        methods_table=pair_table(
            "Our methods over each other one",
            ("Problem", "Method", "Over"),
            method_pairs(summary),
            is_paired=True,
        ),
        others=others,
        latest=latest[:1],
        latest_table=version_table(latest[0]) if latest else None,
        earlier=latest[1:_MOST_COMPARISONS],
        choices=[(number, run) for number, (run, folder) in enumerate(_pickable(site.places))],
        current=next(
            number for number, (run, _) in enumerate(_pickable(site.places)) if run is site.run
        ),
        command=site.command(summary.problems),
    )


def _moved(before: Run, after: Run) -> list[str]:
    """What else differs between two runs, but the code that is measured."""
    old, new = surroundings(before), surroundings(after)
    return [
        f"{name} {old.get(name, 'not there')} → {new.get(name, 'not there')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _pickable(places: tuple[tuple[Shown, str], ...]) -> list[tuple[Run, str]]:
    """Runs that a reader can pick: of each machine the newest ones."""
    return [
        (run, folder) for shown, folder in places for run in (shown.run, *shown.others)[:_MOST_RUNS]
    ]


def run_scripts(places: tuple[tuple[Shown, str], ...]) -> dict[str, str]:
    """Data of each run that can be picked, as a script that a page from disk can load.

    The script is one call with one JSON value, escaped so that no text in it can end anything.
    """
    files = {}
    for number, (run, _) in enumerate(_pickable(places)):
        meters = [m for m in _METERS if any(m in item.values for item in run.measurements)]
        problems = {item.case.configuration.problem for item in run.measurements}
        data = {
            "meters": meters,
            "cases": [list(map(str, item.case.fields())) for item in run.measurements],
            "values": [[item.values.get(m) for m in meters] for item in run.measurements],
            "names": {
                **{m: method_label(m).name for m in {i.case.method for i in run.measurements}},
                **{p: problem_label(p).name for p in problems},
            },
            "failed": [k for k, item in enumerate(run.measurements) if item.failed],
        }
        text = _escaped(dump(_finite(data)))
        files[f"runs/{number}.js"] = f"reportRun({number},{text});\n"
    return files


def _finite(data: dict[str, object]) -> dict[str, object]:
    values = data["values"]
    assert isinstance(values, list)
    kept = [[v if v is not None and v - v == 0 else None for v in row] for row in values]
    return {**data, "values": kept}


def _escaped(text: str) -> str:
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
