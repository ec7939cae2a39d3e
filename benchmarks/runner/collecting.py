"""asv collects from the journal: ordinary result files, of a machine named for what it is.

asv itself finds the benchmarks, describes the machine and writes the file. It is not let to run
them: it would start a process for every figure of every case, thousands of them, to look one
number up in each.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..cases import CASE_FIELDS, Case
from ..measure import Failure, Outcome
from ..provenance import PROVENANCE, provenance
from .conditions import Conditions, machine_name
from .journal import write_json

try:
    from asv.results import Results as AsvResults
except ImportError:  # in the environments that asv makes, which have what is measured only
    AsvResults = None

RESULTS = Path(".asv/results")
PREFIX = "track_"
ENVIRONMENT = f"existing-py{sys.version_info.major}.{sys.version_info.minor}"
"""asv's name for the environment: unlike the one that it makes up, without the folder's path."""


class CollectingError(RuntimeError):
    """asv could not be run; what was measured is in the journal all the same."""


def collect(root: Path, given: Conditions, outcomes: Mapping[Case, Outcome]) -> Path:
    """Enter outcomes into asv's results.

    Parameters
    ----------
    root : Path
        The tree, with ``asv.conf.json``.
    given : mapping
        The conditions they were measured under.
    outcomes : mapping from Case to outcome
        What is known. A benchmark none of whose cases is known stays as it is.

    Returns
    -------
    Path
        asv's result file.

    Raises
    ------
    CollectingError
        If asv is not there, or fails.
    """
    if AsvResults is None:
        raise CollectingError("asv is not installed; install the project with its 'bench' extra")
    machine, commit = machine_name(given), str(given["commit"])
    _describe_machine(root, machine)
    _asv(root, "run", "--bench", "just-discover", "--machine", machine, *_HERE)
    results = root / RESULTS
    described = json.loads((results / "benchmarks.json").read_text(encoding="utf-8"))
    python = str(given["python"])
    record = AsvResults(
        _read(results / machine / "machine.json") | {"python": python},
        {},
        commit,
        _commit_milliseconds(root, commit),
        python,
        ENVIRONMENT,
        {},
    )
    record.load_data(str(results))
    for benchmark in described.values():
        if isinstance(benchmark, dict) and tuple(benchmark["param_names"]) == CASE_FIELDS:
            _enter(record, benchmark, outcomes)
    record.save(str(results))
    name = f"{commit[:8]}-{ENVIRONMENT}.json"
    write_json(results / machine / PROVENANCE / name, provenance(commit) | dict(given))
    return results / machine / name


_HERE = ("--environment", f"existing:{sys.executable}", "--launch-method", "spawn")


@dataclass
class _Column:
    """What asv wants to know of a benchmark that has been run."""

    result: Sequence[float | None]
    samples: Sequence[None]
    number: Sequence[None]
    errcode: int
    stderr: str = ""
    profile: None = None


def _enter(record: Any, benchmark: Mapping[str, Any], outcomes: Mapping[Case, Outcome]) -> None:
    """Enter one meter of one class: null for what failed, NaN for what is not there."""
    meter = benchmark["name"].rpartition(".")[2].removeprefix(PREFIX)
    values = [[ast.literal_eval(value) for value in column] for column in benchmark["params"]]
    cases = [Case(*combination) for combination in itertools.product(*values)]
    if outcomes.keys().isdisjoint(cases):
        return
    figures = [_figure(outcomes.get(case), meter) for case in cases]
    nothing = [None] * len(cases)
    failed = None in figures
    record.add_result(
        benchmark, _Column(figures, nothing, nothing, int(failed)), datetime.now(UTC), None
    )


def _figure(outcome: Outcome | None, meter: str) -> float | None:
    if isinstance(outcome, Failure):
        return None
    return math.nan if outcome is None else float(getattr(outcome, meter))


def _describe_machine(root: Path, machine: str) -> None:
    """Enter the machine in asv's list: first as asv finds it, then under the name it is to have."""
    system = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    _asv(root, "machine", "--yes")
    _asv(root, "machine", "--yes", "--machine", machine, "--os", system)


def _asv(root: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=root,
        env=os.environ | {"ASV_PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CollectingError(
            f"`asv {arguments[0]}` failed, so its result files were not written; what was "
            f"measured is in the journal. It said:\n{done.stdout}{done.stderr}"
        )


def _commit_milliseconds(root: Path, commit: str) -> int:
    """Return when a commit was made, in asv's unit."""
    done = subprocess.run(
        ["git", "show", "--no-patch", "--format=%ct", commit],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) * 1000


def _read(file: Path) -> dict[str, object]:
    """Return a JSON file of asv's, without its version."""
    data: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return {key: value for key, value in data.items() if key != "version"}
