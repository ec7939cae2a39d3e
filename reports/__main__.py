"""Command line: ``python -m reports build | serve | picture | table``.

Exit status: 0, failed measurements included (the report shows them); 1 if the output cannot be
written; 2 if there is nothing to read.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from reports.findings import plural
from reports.loaders import load, load_commits
from reports.output import build_site
from reports.readme import markdown_table, overview_picture
from reports.records import Loaded
from reports.selection import select
from reports.serve import LOOPBACK, Builder, make_server
from reports.summaries import Summary, summarize

_RESULTS = (Path(".asv/results"), Path("reports/results"), Path(".asv/compare/tables"))
_BENCHMARKS = Path(".benchmarks")
_OUTPUT = Path("reports/site")


class _NothingToReadError(Exception):
    """No file with a measurement; the message says where it was looked for and what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; default, the process's own.

    Returns
    -------
    int
        Exit status.
    """
    options = make_parser().parse_args(arguments)
    try:
        if options.command == "serve":
            return _serve(options)
        loaded = _load(options.results, options.pytest_benchmark)
        if options.command == "build":
            build_site(loaded, options.output)
            print(f"report: {(options.output / 'index.html').as_posix()}")
        elif options.command == "picture":
            picture = _picture(_first(loaded))
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(picture, encoding="utf-8", newline="\n")
            print(f"picture: {options.output.as_posix()}")
        else:
            print(markdown_table(_first(loaded)), end="")
    except _NothingToReadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: cannot write the report: {error}", file=sys.stderr)
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports", description="Make the report from files of measurements."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="write the site")
    build.add_argument("--output", type=Path, default=_OUTPUT, help="folder of the site")
    serve = commands.add_parser("serve", help="show the site on this machine, built as needed")
    serve.add_argument("--output", type=Path, default=_OUTPUT, help="folder of the site")
    serve.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1; 0: a free one")
    picture = commands.add_parser("picture", help="write the README's picture")
    picture.add_argument("--output", type=Path, required=True, help="SVG file to write")
    table = commands.add_parser("table", help="print the README's table in Markdown")
    for command in (build, serve, picture, table):
        command.add_argument(
            "--results",
            type=Path,
            nargs="+",
            action="extend",
            metavar="DIR",
            help="asv results folder; default: "
            + " and ".join(folder.as_posix() for folder in _RESULTS),
        )
        command.add_argument(
            "--pytest-benchmark",
            type=Path,
            nargs="+",
            action="extend",
            metavar="FILE",
            help="pytest-benchmark JSON; default, where no --results is given either: every JSON "
            f"file in {_BENCHMARKS.as_posix()}",
        )
    return parser


def _serve(options: argparse.Namespace) -> int:
    """Serve until interrupted."""

    def build() -> None:
        build_site(_load(options.results, options.pytest_benchmark), options.output)

    results, files = _places(options.results, options.pytest_benchmark)
    builder = Builder(build, (*results, *files, _BENCHMARKS))
    builder.refresh()
    with make_server(options.output, builder, options.port) as server:
        print(f"report: http://{LOOPBACK}:{server.server_port}/ (end it by Ctrl-C)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _places(results: list[Path] | None, files: list[Path] | None) -> tuple[list[Path], list[Path]]:
    """What was named, or what lies at the default places."""
    if results is None and files is None:
        return list(_RESULTS), sorted(_BENCHMARKS.rglob("*.json"))
    return results or [], files or []


def _load(results: list[Path] | None, files: list[Path] | None) -> Loaded:
    """Read what was named, or lies at the default places; warn of what could not be read."""
    results, files = _places(results, files)
    loaded = load(results, files)
    for warning in loaded.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not select(loaded.runs):
        places = ", ".join(path.as_posix() for path in (*results, *files)) or "the default places"
        raise _NothingToReadError(
            f"no measurement was found in {places}. Run `make report` to measure and build, or "
            "name a folder of asv results with --results."
        )
    commits = load_commits(Path(), [run.commit for run in loaded.runs])
    loaded = replace(loaded, commits=commits)
    for shown in select(loaded.runs, commits):
        failed = [item for item in shown.run.measurements if item.failed]
        if failed:
            cases = plural(len(failed), "case")
            print(
                f"warning: {shown.run.file}: {cases} of {len(shown.run.measurements)} failed, in "
                "part or whole; the report shows them as failed",
                file=sys.stderr,
            )
    return loaded


def _picture(summary: Summary) -> str:
    try:
        return overview_picture(summary)
    except ValueError as error:
        raise _NothingToReadError(f"{summary.run.file}: {error}") from error


def _first(loaded: Loaded) -> Summary:
    return summarize(select(loaded.runs, loaded.commits)[0].run)


if __name__ == "__main__":
    sys.exit(main())
