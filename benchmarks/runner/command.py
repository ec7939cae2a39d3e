"""The command ``python -m benchmarks run``."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..environment import (
    DEVICE_VARIABLE,
    DEVICES,
    INSTRUCTIONS_VARIABLE,
    SIZE_VARIABLE,
    SIZES,
    THREADS_VARIABLE,
    selected_size,
)
from ..groups import Group, grouped, title
from ..measure import Failure
from ..methods import METHODS, plug_in
from ..sizes import selected_size_set
from .cluster import ClusterError, run_on_cluster
from .code_state import WrongTreeError, refuse_changes
from .collecting import CollectingError, collect
from .conditions import conditions, folder_name, machine_name
from .journal import JournalBusyError, locked, read_entry, read_outcomes
from .measuring import measure_rest, survey
from .remaining import spoken
from .sharing import read_conditions, read_shard
from .worker import measure_apart

ROOT = Path(__file__).resolve().parents[2]
JOURNAL = ROOT / ".journal"
FAILED, MISUSED, INTERRUPTED = 1, 2, 130


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "run",
        help="measure, and let asv collect the results",
        description="Measure every group of cases that the journal lacks, then let asv collect. "
        "Killed at any moment, nothing measured is lost: the same command goes on.",
    )
    parser.add_argument("--size", choices=SIZES, help="scale of work (quick)")
    parser.add_argument("--device", choices=DEVICES, help="where the tensors lie (cpu)")
    parser.add_argument("--threads", type=int, help="torch's threads on the CPU (1)")
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="only this method; package.module:function is one of your own "
        "(docs/benchmark-your-solver.md); may be repeated",
    )
    parser.add_argument(
        "--only", metavar="PATTERN", help="only groups whose title has this regular expression"
    )
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions too: a minute a case"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be measured, and how long it takes"
    )
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument(
        "--shard",
        metavar="I/N",
        help="only the I-th of N parts, into a journal of its own; then `merge`",
    )
    parts.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="who runs the groups: this machine, or the nodes of a Ray cluster (local)",
    )
    parser.set_defaults(command=main)


def main(given: argparse.Namespace, say: Callable[[str], None] = print) -> int:
    """Run the command.

    Returns
    -------
    int
        0; 1 if a case failed, the others being kept; 2 if the request cannot be met; 130 if
        interrupted.
    """
    _enter(given)
    try:
        groups = _chosen(given.method, given.only)
        if given.engine == "ray" and not given.dry_run:
            return _run_on_cluster(groups, say)
        return _run(groups, given.shard, given.dry_run, say)
    except (WrongTreeError, JournalBusyError, CollectingError, ClusterError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("interrupted: what is measured is kept, the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _enter(given: argparse.Namespace) -> None:
    """Say in the environment what was asked for: that is where the processes of a run look."""
    asked = {
        SIZE_VARIABLE: given.size,
        DEVICE_VARIABLE: given.device,
        THREADS_VARIABLE: given.threads,
        INSTRUCTIONS_VARIABLE: 1 if given.instructions else None,
    }
    os.environ.update({name: str(value) for name, value in asked.items() if value is not None})


def _chosen(methods: Sequence[str] | None, pattern: str | None) -> tuple[Group, ...]:
    """Return the groups that are asked for.

    Raises
    ------
    ValueError
        If there are none, or a method is not known.
    """
    methods = [plug_in(name) if ":" in name else name for name in methods or ()]
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"no method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    cases = selected_size_set().cases()
    groups = grouped(case for case in cases if not methods or case.method in methods)
    try:
        chosen = tuple(group for group in groups if re.search(pattern or "", title(group)))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if not chosen:
        titles = "\n  ".join(map(title, groups))
        raise ValueError(f"no group's title has {pattern!r}; there are\n  {titles}")
    return chosen


def _run_on_cluster(groups: Sequence[Group], say: Callable[[str], None]) -> int:
    num_failed = 0
    with locked(JOURNAL):
        for folder in sorted(run_on_cluster(ROOT, JOURNAL, groups, say)):
            outcomes = read_outcomes(folder)
            file = collect(ROOT, read_conditions(folder), outcomes)
            say(f"asv has the results: {os.path.relpath(file, ROOT)}")
            num_failed += sum(isinstance(outcome, Failure) for outcome in outcomes.values())
    if num_failed:
        say(f"{num_failed} cases failed")
    return FAILED if num_failed else 0


def _run(
    groups: Sequence[Group], shard: str | None, is_dry: bool, say: Callable[[str], None]
) -> int:
    present = conditions(ROOT)
    name, journal = folder_name(present), JOURNAL
    if shard is not None:
        part = read_shard(shard)
        journal = part.journal(JOURNAL)
        groups = [
            group
            for group in part.part_of(groups)
            if read_entry(JOURNAL / name, group)[0] is None  # measured before, and merged
        ]
    folder = journal / name
    place = os.path.relpath(folder, ROOT)
    say(
        f"{selected_size()} on {machine_name(present)}, commit {str(present['commit'])[:8]}, "
        f"into {place}"
    )
    if present["is_dirty"]:
        say(
            "note: the tree has changes. Only results of the very same changes are used again, and "
            "asv files them under the commit that they start from."
        )
    if is_dry:
        progress = survey(journal, folder, groups, say)
        for group in groups:
            state = "to be measured" if group in progress.left else "measured"
            say(f"  {state}: {title(group)}, {len(group)} cases")
        say(f"{len(progress.left)} of {len(groups)} groups left, about {progress.remaining()}")
        return 0
    with locked(journal):
        progress = survey(journal, folder, groups, say)
        if progress.there:
            say(f"{len(progress.there)} of {len(groups)} groups were measured before")
        refuse = partial(refuse_changes, ROOT, str(present["code"]))
        measure_rest(folder, present, progress, measure_apart, refuse, say)
        say(f"measured in {spoken(sum(seconds for _, seconds in progress.done))}")
        if shard is None:
            file = collect(ROOT, present, read_outcomes(folder))
            say(f"asv has the results: {os.path.relpath(file, ROOT)}")
        else:
            say("asv collects when all parts are measured: python -m benchmarks merge")
    if progress.num_failed:
        say(f"{progress.num_failed} cases failed. To try again, remove {place}")
    return FAILED if progress.num_failed else 0
