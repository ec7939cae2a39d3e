"""The commands: compare two versions, show a comparison again, compare recorded results, merge."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reports.tolerances import Threshold, ThresholdsError, read_thresholds

from ..provenance import surroundings
from .accepted import FILE, Accepted, AcceptedError, new_in, parse_accepted
from .builds import ENVIRONMENTS, BuildError, build_sides
from .contestants import Contestants
from .journal import Journal, JournalError, note_others, open_journal, read_journal
from .launcher import HARNESS, WorkerError
from .measurement import measure
from .merge import MergeError, merge_results
from .recorded import RecordedError, compare_recorded
from .sides import Side, SideError, digest, git, resolve
from .table import Report, as_markdown, as_page, as_plain, as_text
from .verdicts import Row, exit_status, judge
from .work import WORKS, select

THRESHOLDS = Path(__file__).with_name("thresholds.toml")
FOLDER = Path(".asv/compare")
RESULTS = Path(".asv/results")
COULD_NOT = 2
SHARE_TO_MEASURE = 0.9
"""Of the time: the rest is for starting, for what is under way at the end, and for telling."""

Command = Callable[[argparse.Namespace], int]

_EXPECTED = (
    AcceptedError,
    BuildError,
    JournalError,
    MergeError,
    RecordedError,
    SideError,
    ThresholdsError,
    ValueError,
    WorkerError,
)


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the commands."""
    run = commands.add_parser(
        "compare",
        help="measure two versions by turns, and say what changed",
        description="Measure two sides by turns, and say what changed. Exit status 0: nothing is "
        "worse; 1: something is, or does not run any more; 2: it could not be measured. Ended "
        "half-way, the same command goes on.",
    )
    run.set_defaults(command=_guarded(_run))
    run.add_argument("base", help="commit, tag, branch, '.', folder, or release 'package==version'")
    run.add_argument("head", help="likewise; '.' is the working tree")
    run.add_argument("--seconds", type=float, default=300.0, help="time to spend (default: 300)")
    run.add_argument("--cases", help="regular expression: only cases whose name it finds")
    run.add_argument("--exact-only", action="store_true", help="no seconds and no instructions")
    run.add_argument("--base-method", help="gradient method of the base (default: the library's)")
    run.add_argument("--head-method", help="gradient method of the head")
    run.add_argument("--environment", choices=ENVIRONMENTS, default="auto", help="where to install")
    run.add_argument("--folder", type=Path, default=FOLDER, help="builds and journals")
    _add_common(run)

    show = commands.add_parser("compare-journal", help="show again what a comparison has measured")
    show.set_defaults(command=_guarded(_show))
    show.add_argument("journal", type=Path)
    _add_common(show)

    recorded = commands.add_parser(
        "compare-recorded", help="compare two commits' exact meters in asv's result files"
    )
    recorded.set_defaults(command=_guarded(_recorded))
    recorded.add_argument("base", help="commit, tag or branch")
    recorded.add_argument("head", help="likewise")
    recorded.add_argument("--results", type=Path, nargs="+", default=[RESULTS], metavar="DIR")
    _add_common(recorded)

    merge = commands.add_parser(
        "merge-results", help="bring several machines' asv results into one folder"
    )
    merge.set_defaults(command=_guarded(_merge))
    merge.add_argument("sources", type=Path, nargs="+", help="asv results folders")
    merge.add_argument("--into", type=Path, default=RESULTS, help="asv results folder")


def _guarded(command: Command) -> Command:
    """Return the command, saying what went wrong in place of a traceback."""

    def run(options: argparse.Namespace) -> int:
        try:
            return command(options)
        except (*_EXPECTED, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
        return COULD_NOT

    return run


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--thresholds", type=Path, default=THRESHOLDS, help="what is a change")
    parser.add_argument("--html", type=Path, help="page to write")
    parser.add_argument("--markdown", type=Path, help="table to write, for a pull request")


def _run(options: argparse.Namespace) -> int:
    thresholds = read_thresholds(options.thresholds)
    works = select(WORKS, options.cases)
    repository = Path.cwd()
    base = resolve(options.base, repository, options.base_method)
    head = resolve(options.head, repository, options.head_method)
    accepted = _accepted(base, head, repository, thresholds)
    builds = build_sides((base, head), repository, options.folder / "builds", options.environment)
    contestants = Contestants(
        {"base": builds[0], "head": builds[1]}, {"base": base.method, "head": head.method}
    )
    with open_journal(options.folder / "journals", _header(base, head, options)) as journal:
        print(f"journal: {journal.file}", file=sys.stderr)
        start = time.time()
        note_others(journal, start)
        seconds = 0.0 if options.exact_only else SHARE_TO_MEASURE * options.seconds
        measure(contestants, works, journal, thresholds, seconds)
        note_others(journal, start)
        if digest(HARNESS / "benchmarks") != journal.header["harness"]:
            journal.add("note", text="the benchmarks were edited meanwhile: measure again")
        journal.add("done")
    report = _report(journal, thresholds, accepted)
    shown = options.folder / "tables" / str(journal.header["machine"]) / "compare"
    shown.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_plain(report, str(journal.header["date"])), indent=1)
    (shown / f"{journal.file.stem}.json").write_text(text + "\n", encoding="utf-8")
    return _status(_tell(report, options), journal)


def _status(status: int, journal: Journal) -> int:
    """Return the exit status: of a comparison that was ended, none worse so far is no verdict."""
    return COULD_NOT if status == 0 and not journal.is_finished else status


def _header(base: Side, head: Side, options: argparse.Namespace) -> dict[str, object]:
    works = select(WORKS, options.cases)
    clocked = () if options.exact_only else works
    return {
        "base": {"label": base.label, "identity": base.identity, "method": base.method},
        "head": {"label": head.label, "identity": head.identity, "method": head.method},
        "works": [work.name for work in works],
        "timed": [work.name for work in clocked if work.is_timed],
        "counted": [work.name for work in clocked if work.is_counted],
        "harness": digest(HARNESS / "benchmarks"),
        "machine": platform.node(),
        "num_cpus": os.cpu_count(),
        **surroundings(),
    }


def _accepted(
    base: Side, head: Side, repository: Path, thresholds: Mapping[str, Threshold]
) -> tuple[Accepted, ...]:
    return new_in(
        *(parse_accepted(_accepted_text(side, repository), thresholds) for side in (head, base))
    )


def _accepted_text(side: Side, repository: Path) -> str:
    """Return the file of accepted regressions of a side's own commit; nothing if it has none."""
    if side.kind != "commit":
        return ""
    try:
        return git(repository, "show", f"{side.commit}:{FILE}")
    except SideError:
        return ""


def _report(
    journal: Journal, thresholds: Mapping[str, Threshold], accepted: Sequence[Accepted]
) -> Report:
    header = journal.header
    notes = [*journal.warnings, *(str(record["text"]) for record in journal.of("note"))]
    if not journal.is_finished:
        notes.append("the comparison was ended before it was done; the same command goes on")
    versions = header.get("packages") or {}
    place = f"{header.get('machine')}, {header.get('cpu')}, torch {versions.get('torch')}"
    return Report(
        str(header["base"]["label"]),
        str(header["head"]["label"]),
        f"{place}, {header.get('date')}",
        tuple(judge(journal, thresholds, accepted)),
        thresholds,
        tuple(notes),
    )


def _show(options: argparse.Namespace) -> int:
    thresholds = read_thresholds(options.thresholds)
    journal = read_journal(options.journal)
    return _status(_tell(_report(journal, thresholds, ()), options), journal)


def _recorded(options: argparse.Namespace) -> int:
    thresholds = read_thresholds(options.thresholds)
    commits = [
        git(Path.cwd(), "rev-parse", f"{each}^{{commit}}") for each in (options.base, options.head)
    ]
    rows, notes = compare_recorded(options.results, commits[0], commits[1], thresholds)
    report = Report(
        f"{options.base} ({commits[0][:8]})",
        f"{options.head} ({commits[1][:8]})",
        "as recorded by asv; seconds of two runs are not compared",
        tuple(rows),
        thresholds,
        tuple(notes),
    )
    return _tell(report, options)


def _merge(options: argparse.Namespace) -> int:
    for line in merge_results(options.sources, options.into):
        print(line)
    return 0


def _tell(report: Report, options: argparse.Namespace) -> int:
    print(as_text(report))
    for path, text in ((options.html, as_page), (options.markdown, as_markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(report), encoding="utf-8", newline="\n")
            print(f"written: {path}")
    rows: Sequence[Row] = report.rows
    return exit_status(rows)
