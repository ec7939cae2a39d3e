"""Comparisons of a copy of symadj with a copy that has a fault."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.tolerances import Threshold

from ..builds import Build
from ..contestants import Contestants
from ..journal import open_journal
from ..launcher import HARNESS, Launcher
from ..measurement import measure
from ..sides import DEFAULT_METHOD
from ..verdicts import Row, Status, exit_status, judge
from ..work import Work


class KilledError(RuntimeError):
    """A comparison that somebody ended: it has no verdict, and is to be made again."""


def contestants(base: Path, head: Path) -> Contestants:
    """Return two folders as the sides of a comparison."""
    sides = {"base": base, "head": head}
    builds = {side: Build(sys.executable, (str(path),), "symadj") for side, path in sides.items()}
    return Contestants(builds, dict.fromkeys(sides, DEFAULT_METHOD))


def compare_some(
    name: str,
    sides: Contestants,
    works: Sequence[Work],
    thresholds: Mapping[str, Threshold],
    folder: Path,
    *,
    launchers: Mapping[str, Launcher] | None = None,
    count_seconds: float = 0.0,
) -> tuple[int, list[str]]:
    """Compare what needs no clock, anew: in workers of their own.

    Parameters
    ----------
    name : str
        Of the fault.
    sides : Contestants
    works : sequence of Work
    thresholds : mapping from metric to Threshold
    folder : Path
        Of the journal.
    launchers : mapping from side to Launcher, optional
        Where workers are forked.
    count_seconds : float
        What counting instructions may take; 0: exact metrics only.

    Returns
    -------
    int
        The exit status that the comparison would have.
    list of str
        The metrics that are worse.
    """
    header = {
        "base": {"label": "no fault"},
        "head": {"label": name},
        "works": [work.name for work in works],
        "counted": [work.name for work in works if work.is_counted and count_seconds],
    }
    with open_journal(folder, header) as journal:
        measure(sides, works, journal, thresholds, count_seconds, launchers)
        journal.add("done")
        rows: list[Row] = judge(journal, thresholds, ())
    return exit_status(rows), sorted({row.metric for row in rows if row.status is Status.WORSE})


def compare_whole(
    base: Path, head: Path, folder: Path, seconds: float, lock: int, cases: str = ""
) -> tuple[int, list[str]]:
    """Run the command that a user runs, and take its exit status for the verdict.

    It holds the ledger's lock as well: should the proof be killed, a second one waits for its end.
    The cases may be chosen by a regular expression.

    Returns
    -------
    int
        The command's exit status.
    list of str
        What its table calls worse: metrics, as "seconds".

    Raises
    ------
    KilledError
        If it was ended by a signal.
    """
    command = [sys.executable, "-m", "benchmarks", "compare", str(base), str(head)]
    done = subprocess.run(
        [*command, "--folder", str(folder), "--seconds", str(seconds), "--cases", cases],
        cwd=HARNESS,
        stdout=subprocess.DEVNULL,
        check=False,
        pass_fds=(lock,),
    )
    if done.returncode < 0:
        raise KilledError(f"ended by {signal.Signals(-done.returncode).name}")
    return done.returncode, _worse_in(folder)


def _worse_in(folder: Path) -> list[str]:
    """Return the metrics that are worse by the latest table of a comparison; none without one."""
    tables = sorted(folder.glob("tables/*/compare/*.json"))
    if not tables:
        return []
    table = json.loads(tables[-1].read_text(encoding="utf-8"))
    metric = table["columns"].index("metric")
    worse = (row for row in table["rows"] if row["status"] == Status.WORSE.name)
    return sorted({row["cells"][metric] for row in worse})
