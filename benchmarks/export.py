"""The command ``python -m benchmarks export``: results of this machine, to be kept in git.

asv's result file of a commit, its provenance and its trainings are copied to
``reports/results/<machine>``, where the report finds them beside its own. What says whose machine
it was, and not which, is refused: a host's name, a folder's path.
"""

from __future__ import annotations

import argparse
import getpass
import json
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from .provenance import PROVENANCE
from .runner.collecting import ENVIRONMENT, RESULTS
from .runner.command import MISUSED, ROOT
from .runner.conditions import conditions, machine_name
from .runner.journal import write_json
from .training.store import FOLDER

REFERENCE = Path("reports/results")


class ExportError(RuntimeError):
    """There is nothing to be exported, or it is not fit to be seen by all."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="copy this machine's results to reports/results, to be committed",
        description="Copy the results of a commit on this machine to reports/results.",
    )
    parser.add_argument("--commit", help="hash of the commit that was measured (HEAD)")
    parser.add_argument("--machine", help="its name in .asv/results (this machine)")
    parser.set_defaults(command=main)


def main(given: argparse.Namespace) -> int:
    """Run the command; return 0, or 2 if there is nothing to be exported."""
    try:
        present = conditions(ROOT)
        machine = given.machine or machine_name(present)
        commit = given.commit or str(present["commit"])
        for file in export(ROOT / RESULTS, ROOT / REFERENCE, machine, commit):
            print(file.relative_to(ROOT))
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    return 0


def export(results: Path, reference: Path, machine: str, commit: str) -> list[Path]:
    """Copy what there is of a commit; nothing if any of it is not fit to be copied.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    ExportError
        If there is nothing of that commit, it was measured with uncommitted changes or at the
        size for trying things out, or it names a host, a user or a folder.
    """
    short = commit[:8]
    sources = [
        *(results / machine).glob(f"{short}-{ENVIRONMENT}.json"),
        *(results / machine / PROVENANCE).glob(f"{short}-{ENVIRONMENT}.json"),
        *sorted((results / machine / FOLDER).glob(f"{short}-*.json")),
    ]
    if not sources:
        raise ExportError(
            f"{results / machine} has nothing of commit {short}: measure it by `python -m "
            "benchmarks run` or `train`, or name another --commit or --machine"
        )
    contents = {source: source.read_text(encoding="utf-8") for source in sources}
    for source, text in contents.items():
        _check(source, text)
    written = []
    for source, text in contents.items():
        file = reference / source.relative_to(results)
        if source.parent.name == machine:  # asv's own file: NaN and all, as asv writes it
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        else:
            write_json(file, json.loads(text))
        written.append(file)
    return written


def _check(source: Path, text: str) -> None:
    data = json.loads(text)
    given = data.get("conditions", data)
    if given.get("is_dirty"):
        raise ExportError(f"{source.name} was measured with uncommitted changes: commit, run again")
    if given.get("size") == "smoke":
        raise ExportError(f"{source.name} is of size smoke, whose times say nothing")
    for private in _private():
        if re.search(rf"(?<![\w-]){re.escape(private)}(?![\w-])", text):
            raise ExportError(f"{source} holds {private!r}, which tells whose machine it was")


def _private() -> Iterable[str]:
    return (platform.node(), getpass.getuser(), str(Path.home()), str(ROOT), sys.prefix)
