"""Command line: ``python -m benchmarks.compare.proof [--short]``.

Exit status 0: what is found, and how often, is as wanted; 1: it is not; 2: not all runs were made.
Killed, the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from reports.tolerances import read_thresholds

from ..commands import THRESHOLDS
from ..launcher import HARNESS, Launcher
from ..measurement import launchers_of
from ..sides import digest
from ..work import WORKS, Work, select
from .experiment import KilledError, compare_some, compare_whole, contestants
from .ledger import Ledger, LedgerError, Verdict, open_ledger, read_ledger
from .planting import (
    COUNTED_FAULTS,
    EXACT_FAULTS,
    FAULTS,
    NO_FAULT,
    TIME_FAULTS,
    Fault,
    base_of,
    plant,
)
from .summary import TITLES, Plan, as_planned, as_table, failures, num_missing

FOLDER = Path(".asv") / "proof"
SHORT_WORKS = "dopri5/64-64-64-64 batch 16"
PROOF_WORKS = "dopri5/64-64-64-64 batch 16|rk4/16-64-16 batch 32/12/2|kdv"

Compare = Callable[[Fault, int], tuple[int, list[str]]]
"""From a fault and the number of the run to exit status and what is worse."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing of the proof and print what was found, as a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare.proof", description=__doc__)
    parser.add_argument("--short", action="store_true", help="each exact fault once, on one case")
    parser.add_argument("--repeats", type=int, default=10, help="of each exact fault")
    parser.add_argument("--comparisons", type=int, default=20, help="whole ones, of a time fault")
    parser.add_argument("--no-change", type=int, default=100, help="whole ones, without a fault")
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=TITLES,
        default=("exact", "counted", "whole"),
        help="of comparison; 'timed' is a whole one of the timed cases alone, without counting",
    )
    parser.add_argument("--faults", default="", help="regular expression: only what it finds")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each whole comparison")
    parser.add_argument("--show", action="store_true", help="what there is; run nothing")
    parser.add_argument(
        "--verdicts", type=Path, nargs="+", help="show what these files hold; run nothing"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"(default: {FOLDER})")
    options = parser.parse_args(arguments)
    try:
        plan = _plan(options)
    except (ValueError, re.error) as error:
        parser.error(str(error))
    if options.verdicts:
        missing = [str(file) for file in options.verdicts if not file.is_file()]
        if missing:
            parser.error(f"--verdicts: no such file: {', '.join(missing)}")
        ledgers = [read_ledger(file) for file in options.verdicts]
        whole = Ledger(
            [verdict for each in ledgers for verdict in each.verdicts],
            [warning for each in ledgers for warning in each.warnings],
        )
        return _tell(as_planned(whole.verdicts), whole)
    with tempfile.TemporaryDirectory(prefix="compare-proof-") as scratch:
        folder = Path(scratch) if options.short else options.folder / _version(options)
        file = folder / "verdicts.jsonl"
        if options.show:
            return _tell(plan, read_ledger(file))
        try:
            with open_ledger(file) as ledger:
                print(f"verdicts: {file}, {len(ledger.verdicts)} so far", file=sys.stderr)
                try:
                    bench = Bench(folder.resolve(), options.short, options.seconds, ledger.lock)
                    _run(plan, ledger, bench)
                except KeyboardInterrupt:
                    print("stopped; the same command goes on from here", file=sys.stderr)
                return _tell(plan, ledger)
        except LedgerError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2


def _plan(options: argparse.Namespace) -> Plan:
    repeats = 1 if options.short else options.repeats
    plan = {("exact", fault): repeats for fault in (NO_FAULT, *EXACT_FAULTS)}
    if not options.short:
        plan |= {("counted", fault): repeats for fault in (NO_FAULT, *COUNTED_FAULTS)}
        for kind in ("timed", "whole"):
            plan[(kind, NO_FAULT)] = options.no_change
            plan |= {(kind, fault): options.comparisons for fault in TIME_FAULTS}
    chosen = {
        (kind, fault): wanted
        for (kind, fault), wanted in plan.items()
        if wanted > 0 and kind in options.kinds and re.search(options.faults, fault.name)
    }
    if not chosen:
        names = "\n  ".join(fault.name for fault in FAULTS)
        raise ValueError(f"--faults {options.faults!r} finds none of:\n  {names}")
    return chosen


def _version(options: argparse.Namespace) -> str:
    """Return a name for what is tried: verdicts of other code, or of other times, do not count."""
    parts = (digest(HARNESS / "symadj"), digest(HARNESS / "benchmarks"), str(options.seconds))
    thresholds = THRESHOLDS.read_text(encoding="utf-8")
    return hashlib.sha256("\n".join((*parts, thresholds)).encode()).hexdigest()[:16]


def _run(plan: Plan, ledger: Ledger, bench: Bench) -> None:
    """Make the missing runs, mixed: a part has the same share of each fault's, and says most."""
    done = {verdict.place for verdict in ledger.verdicts}
    for kind in dict.fromkeys(kind for kind, _ in plan):
        planned = {fault: wanted for (each, fault), wanted in plan.items() if each == kind}
        in_turn = sorted(
            ((run - 0.5) / wanted, place, fault, run)
            for place, (fault, wanted) in enumerate(planned.items())
            for run in range(1, wanted + 1)
        )
        missing = [
            (fault, run) for *_, fault, run in in_turn if (kind, fault.name, run) not in done
        ]
        if not missing:
            continue
        with ExitStack() as stack:
            kinds = {
                "exact": bench.exact,
                "counted": bench.counted,
                "timed": bench.timed,
                "whole": bench.whole,
            }
            compare = kinds[kind](stack)
            for fault, run in missing:
                print(f"{kind}: {fault.name}, run {run}", file=sys.stderr, flush=True)
                start = time.monotonic()
                try:
                    status, worse = compare(fault, run)
                except KilledError as error:
                    print(f"{error}: the same command makes this run again", file=sys.stderr)
                    continue
                took = round(time.monotonic() - start, 1)
                load = round(os.getloadavg()[0], 1)
                ledger.add(Verdict(kind, fault.name, run, status, worse, took, load))


@dataclass(frozen=True)
class Bench:
    """Where copies are planted and compared.

    Attributes
    ----------
    folder : Path
    is_short : bool
        One case instead of three, for the exact faults.
    seconds : float
        Of a whole comparison; what counting may take.
    lock : int
        File descriptor of the ledger's lock, which a whole comparison holds too.
    """

    folder: Path
    is_short: bool
    seconds: float
    lock: int

    def exact(self, stack: ExitStack) -> Compare:
        """Return what compares exact metrics; one process serves them all."""
        thresholds = read_thresholds(THRESHOLDS)
        works: Sequence[Work] = select(WORKS, SHORT_WORKS if self.is_short else PROOF_WORKS)
        base = self._planted(NO_FAULT)
        launchers = stack.enter_context(launchers_of(contestants(base, base), Launcher))

        def compare(fault: Fault, run: int) -> tuple[int, list[str]]:
            sides = contestants(base, self._planted(fault))
            folder = self._folder("exact", fault, run)
            return compare_some(fault.name, sides, works, thresholds, folder, launchers=launchers)

        return compare

    def counted(self, _: ExitStack) -> Compare:
        """Return what counts instructions and misses of the cache, without the clock."""
        thresholds = read_thresholds(THRESHOLDS)
        works = [work for work in WORKS if work.is_counted]

        def compare(fault: Fault, run: int) -> tuple[int, list[str]]:
            sides = contestants(self._planted(base_of(fault)), self._planted(fault))
            folder = self._folder("counted", fault, run)
            return compare_some(
                fault.name, sides, works, thresholds, folder, count_seconds=self.seconds
            )

        return compare

    def timed(self, _: ExitStack) -> Compare:
        """Return what compares the cases that are timed, and counts no instructions."""
        return self._as_user(
            "timed", "|".join(re.escape(work.name) for work in WORKS if work.is_timed)
        )

    def whole(self, _: ExitStack) -> Compare:
        """Return what compares as a user does; one that was killed goes on."""
        return self._as_user("whole")

    def _as_user(self, kind: str, cases: str = "") -> Compare:
        def compare(fault: Fault, run: int) -> tuple[int, list[str]]:
            sides = self._planted(base_of(fault)), self._planted(fault)
            folder = self._folder(kind, fault, run)
            return compare_whole(*sides, folder, self.seconds, self.lock, cases)

        return compare

    def _folder(self, kind: str, fault: Fault, run: int) -> Path:
        return self.folder / kind / f"{_slug(fault)}-{run}"

    def _planted(self, fault: Fault) -> Path:
        copy = self.folder / "copies" / _slug(fault)
        if not copy.exists():
            unfinished = copy.with_name(f"unfinished-{copy.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            plant(fault, unfinished).rename(copy)  # at once: half a copy is never taken for one
        return copy


def _slug(fault: Fault) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in fault.name)


def _tell(plan: Plan, ledger: Ledger) -> int:
    for warning in ledger.warnings:
        print(warning, file=sys.stderr)
    print(as_table(plan, ledger.verdicts))
    wrong = list(failures(plan, ledger.verdicts))
    for each in wrong:
        print(f"not as wanted: {each}")
    if num_missing(plan, ledger.verdicts):
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
