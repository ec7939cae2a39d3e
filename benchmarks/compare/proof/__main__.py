"""Command line: ``python -m benchmarks.compare.proof [--short]``.

Exit status 0: every exact fault was found each time, and no figure of a pair without a fault was
called worse; 1: not so.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from reports.tolerances import read_thresholds

from ..commands import THRESHOLDS
from ..instructions import CountingLauncher, is_available
from ..launcher import Launcher
from ..measurement import launchers_of
from ..ratios import evaluate
from ..verdicts import Row, Status, exit_status, rounds_of
from ..work import WORKS, Work, select
from .experiment import (
    Laboratory,
    contestants,
    exact_rows,
    instruction_rows,
    record_launches,
    resampled_verdicts,
    seconds_threshold,
    timed_work,
)
from .planting import EXACT_FAULTS, NO_FAULT, TIME_FAULTS, TIMED_BASES, Fault, plant

SHORT_WORKS = "dopri5/64-64-64-64 batch 16"
PROOF_WORKS = "dopri5/64-64-64-64 batch 16|rk4/16-64-16 batch 32/12/2|kdv"
NUM_COMPARISONS = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the proof and print what it found, as Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.proof", description=__doc__)
    parser.add_argument("--short", action="store_true", help="each exact fault once, on one case")
    parser.add_argument("--repeats", type=int, default=10, help="of each exact fault")
    parser.add_argument("--cases", help="regular expression: the cases for the exact faults")
    parser.add_argument("--launches", type=int, default=40, help="to record of each time fault")
    parser.add_argument("--skip-exact", action="store_true", help="time faults only")
    parser.add_argument("--skip-time", action="store_true", help="exact faults only")
    parser.add_argument("--folder", type=Path, help="where journals are kept (default: nowhere)")
    options = parser.parse_args(arguments)
    works = select(WORKS, options.cases or (SHORT_WORKS if options.short else PROOF_WORKS))
    with tempfile.TemporaryDirectory(prefix="compare-proof-") as scratch:
        laboratory = Laboratory(
            options.folder or Path(scratch) / "journals", read_thresholds(THRESHOLDS)
        )
        copies = Path(scratch) / "copies"
        is_right = True
        if not options.skip_exact:
            is_right = _exact(laboratory, copies, works, 1 if options.short else options.repeats)
        if not (options.short or options.skip_time):
            is_right = _time(laboratory, copies, options.launches) and is_right
    return 0 if is_right else 1


def _planted(fault: Fault, copies: Path) -> Path:
    folder = copies / fault.name.replace(" ", "-").replace("'", "")
    return folder if folder.exists() else plant(fault, folder)


def _exact(laboratory: Laboratory, copies: Path, works: Sequence[Work], repeats: int) -> bool:
    base = _planted(NO_FAULT, copies)
    print("| exact fault | found | by | seconds |\n| --- | --- | --- | --- |", flush=True)
    is_right = True
    with launchers_of(contestants(base, base), Launcher) as launchers:
        for fault in (NO_FAULT, *EXACT_FAULTS):
            sides = contestants(base, _planted(fault, copies))
            found, metrics, start = 0, collections.Counter[str](), time.monotonic()
            for _ in range(repeats):
                rows = exact_rows(laboratory, fault.name, sides, works, launchers)
                found += exit_status(rows) == 1
                metrics.update({row.metric for row in rows if row.status is Status.WORSE})
            by = ", ".join(sorted(metrics))
            seconds = (time.monotonic() - start) / repeats
            print(f"| {fault.name} | {found} of {repeats} | {by} | {seconds:.0f} |", flush=True)
            is_right &= found == (0 if fault is NO_FAULT else repeats)
    print()
    return is_right


def _time(laboratory: Laboratory, copies: Path, num_launches: int) -> bool:
    faults = (NO_FAULT, *TIME_FAULTS)
    bases = {
        fault: _planted(TIMED_BASES.get(fault.module or "", NO_FAULT), copies) for fault in faults
    }
    instructions: dict[str, list[Row]] = {}
    if is_available():
        sides = contestants(bases[NO_FAULT], bases[NO_FAULT])
        with launchers_of(sides, CountingLauncher) as launchers:
            for fault in faults:
                sides = contestants(bases[fault], _planted(fault, copies))
                instructions[fault.name] = instruction_rows(
                    laboratory, fault.name, sides, launchers
                )
    print("| time fault | ratio | base / base | seconds find it | blocked | instructions |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    is_right, work = True, timed_work()
    for fault in faults:
        sides = contestants(bases[fault], _planted(fault, copies))
        journal = record_launches(laboratory, fault.name, sides, work, num_launches)
        timing = evaluate(rounds_of(journal, work.name, 1))
        verdicts = resampled_verdicts(journal, work, seconds_threshold(laboratory), NUM_COMPARISONS)
        rate = verdicts.count(Status.WORSE) / len(verdicts)
        unknown = verdicts.count(Status.UNKNOWN) / len(verdicts)
        counted = ", ".join(_ratio(row) for row in instructions.get(fault.name, []))
        print(
            f"| {fault.name} | {timing and timing.ratio} | {timing and timing.control} | "
            f"{rate:.1%} (not measured {unknown:.1%}) | "
            f"{timing.head_blocked_share if timing else 0:.2%} | {counted} |",
            flush=True,
        )
        if fault is NO_FAULT:
            is_right = rate <= 0.01
    return is_right


def _ratio(row: Row) -> str:
    if not row.base or row.head is None:
        return row.status.word
    return f"{row.head / row.base:.4f} {row.status.word}"


if __name__ == "__main__":
    sys.exit(main())
