"""From the figures of a comparison to what is said of it: a row for each metric of each work."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from reports.tolerances import Threshold

from .accepted import Accepted
from .events import INSTRUCTIONS, metrics
from .journal import Journal, Record
from .ratios import ORDER, Interval, Round, Timing, evaluate

SECONDS = "own_seconds"
BLOCKED = "blocked_share"


class Status(IntEnum):
    """What became of a metric, worst first."""

    BROKEN = 0
    WORSE = 1
    UNKNOWN = 2
    ACCEPTED = 3
    BETTER = 4
    SAME = 5

    @property
    def word(self) -> str:
        """How a table calls it."""
        return _WORDS[self]


_WORDS = {
    Status.BROKEN: "broken",
    Status.WORSE: "worse",
    Status.UNKNOWN: "not measured",
    Status.ACCEPTED: "worse, accepted",
    Status.BETTER: "better",
    Status.SAME: "same",
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    work, metric : str
        The metric is empty where a work could not be run at all.
    status : Status
    base, head : float or None
        Values; of a noisy metric for orientation only.
    ratio, control : Interval or None
        Of a noisy metric: head over base, and base over base.
    note : str
        What is to be known beside the numbers.
    """

    work: str
    metric: str
    status: Status
    base: float | None = None
    head: float | None = None
    ratio: Interval | None = None
    control: Interval | None = None
    note: str = ""


def exit_status(rows: Sequence[Row]) -> int:
    """Return 1 if anything is worse or broken, 2 if too little could be measured, else 0.

    Too little is: no row at all, a work that neither side could run, or no measure of time (seconds
    or instructions) although there were works to take it of.
    """
    if any(row.status in {Status.BROKEN, Status.WORSE} for row in rows):
        return 1
    time_rows = [row for row in rows if row.metric in {SECONDS, INSTRUCTIONS}]
    has_no_time = bool(time_rows) and all(row.status is Status.UNKNOWN for row in time_rows)
    is_unrunnable = any(row.status is Status.UNKNOWN and not row.metric for row in rows)
    return 2 if has_no_time or is_unrunnable or not rows else 0


def judge(
    journal: Journal, thresholds: Mapping[str, Threshold], accepted: Iterable[Accepted]
) -> list[Row]:
    """Judge everything that a journal holds.

    Parameters
    ----------
    journal : Journal
    thresholds : mapping from metric to Threshold
    accepted : iterable of Accepted
        Those that are not spent.
    """
    entries = tuple(accepted)
    rows: list[Row] = []
    for work in journal.header["works"]:
        rows += _exact_rows(journal, work, thresholds)
        rows += _instruction_rows(journal, work, thresholds)
        rows += _time_rows(journal, work, thresholds)
    return [_excuse(row, entries) for row in rows]


def compare_exact(
    work: str,
    base: Mapping[str, float | None],
    head: Mapping[str, float | None],
    thresholds: Mapping[str, Threshold],
) -> list[Row]:
    """Compare the exact metrics of one work that both sides have; a metric of one is said."""
    rows = []
    for metric, threshold in thresholds.items():
        if not threshold.is_exact or (metric not in base and metric not in head):
            continue
        before, after = base.get(metric), head.get(metric)
        if before is None and after is None:
            continue  # it does not apply to this work
        if before is None or after is None:
            side = "base" if before is None else "head"
            rows.append(
                Row(
                    work,
                    metric,
                    Status.UNKNOWN,
                    before,
                    after,
                    note=f"the {side} has no such figure",
                )
            )
            continue
        sign = threshold.compare(before, after)
        status = {1: Status.WORSE, -1: Status.BETTER, 0: Status.SAME}[sign]
        rows.append(Row(work, metric, status, before, after))
    return rows


def _exact_rows(journal: Journal, work: str, thresholds: Mapping[str, Threshold]) -> list[Row]:
    found = {side: _last(journal.of("exact", work=work, side=side)) for side in ("base", "head")}
    if None in found.values():
        return [Row(work, "", Status.UNKNOWN, note="not run: the comparison was ended before")]
    failures = {side: record["failure"] for side, record in found.items() if "failure" in record}
    if failures:
        return [_failed(work, failures)]
    base, head = (found[side]["values"] for side in ("base", "head"))
    return compare_exact(work, base, head, thresholds)


def _failed(work: str, failures: Mapping[str, str]) -> Row:
    """Say what a work is worth that one side, or neither, could run."""
    last = {side: text.strip().splitlines()[-1] for side, text in failures.items()}
    if set(last) == {"head"}:
        return Row(
            work, "", Status.BROKEN, note=f"runs on the base, fails on the head: {last['head']}"
        )
    if set(last) == {"base"}:
        note = f"cannot be compared, since it fails on the base: {last['base']}"
        return Row(work, "", Status.SAME, note=note)
    return Row(work, "", Status.UNKNOWN, note=f"fails on both sides: {last['head']}")


def _instruction_rows(
    journal: Journal, work: str, thresholds: Mapping[str, Threshold]
) -> list[Row]:
    counted = {}
    for side in ("base", "head"):
        record = _last(journal.of("instructions", work=work, side=side))
        counted[side] = metrics(record["values"]) if record else {}
    if all(counted.values()):
        return compare_exact(work, counted["base"], counted["head"], thresholds)
    if work not in journal.header.get("counted", ()):
        return []
    return [Row(work, INSTRUCTIONS, Status.UNKNOWN, note="no valgrind, or no time was left")]


def rounds_of(journal: Journal, work: str, attempt: int) -> list[Round]:
    """Return the rounds of a work's first or second measurement, as far as they are whole."""
    rounds = []
    for record in journal.of("round", work=work):
        if record["try"] == attempt:
            try:
                blocks = tuple((float(w), float(o), float(b)) for w, o, b in record["blocks"])
            except (TypeError, ValueError):
                continue
            if len(blocks) == len(ORDER) and all(own > 0 for _, own, _ in blocks):
                rounds.append(Round(int(record["launch"]), blocks))
    return rounds


def needs_repeat(timing: Timing, threshold: Threshold) -> bool:
    """Whether a first measurement would be a regression, so that a second one is wanted."""
    return timing.has_enough and timing.ratio.low > 1 + threshold.numbers["least"]


def is_decided(timing: Timing, threshold: Threshold) -> bool:
    """Whether more rounds would be spent on what is known: slower at first sight, or not so.

    It is asked after each launch, and asking often errs more often than asking once; how often is
    tested by rounds that were recorded (``tests/benchmarks/compare/test_looks.py``).
    """
    if not timing.has_enough or not is_trusted(timing, threshold):
        return False
    if needs_repeat(timing, threshold):
        return True
    is_clear = timing.ratio.high < 1 + threshold.numbers["clear"]
    return is_clear and timing.ratio.half_width <= threshold.numbers["resolution"]


def is_trusted(timing: Timing, threshold: Threshold) -> bool:
    """Whether the base does not differ from itself by as much as would be called a change."""
    least = threshold.numbers["least"]
    return timing.control.low <= 1 + least and timing.control.high >= 1 - least


def _time_rows(journal: Journal, work: str, thresholds: Mapping[str, Threshold]) -> list[Row]:
    first, second = (evaluate(rounds_of(journal, work, attempt)) for attempt in (1, 2))
    if first is None:
        if work not in journal.header.get("timed", ()):
            return []
        return [Row(work, SECONDS, Status.UNKNOWN, note="no time was left")]
    seconds = _seconds_row(work, first, second, thresholds[SECONDS])
    rows = [seconds]
    if first.has_enough:
        base = {BLOCKED: first.base_blocked_share}
        rows += compare_exact(work, base, {BLOCKED: first.head_blocked_share}, thresholds)
    return rows


def _seconds_row(work: str, first: Timing, second: Timing | None, threshold: Threshold) -> Row:
    def row(status: Status, note: str) -> Row:
        said = f"{first.num_rounds} rounds in {first.num_launches} launches"
        if first.waiting_share > 0.1:
            said += f", {first.waiting_share:.0%} of the time waiting for a core"
        note = f"{note}; {said}" if note else said
        return Row(
            work,
            SECONDS,
            status,
            first.base_seconds,
            first.head_seconds,
            first.ratio,
            first.control,
            note,
        )

    return row(*seconds_status(first, second, threshold))


def seconds_status(  # noqa: PLR0911 - one line for each thing that can be said
    first: Timing, second: Timing | None, threshold: Threshold
) -> tuple[Status, str]:
    least, resolution = threshold.numbers["least"], threshold.numbers["resolution"]
    if not first.has_enough:
        return Status.UNKNOWN, "too few rounds in the time there was"
    if not is_trusted(first, threshold):
        return Status.UNKNOWN, "the base differs from itself as much: not to be trusted"
    if needs_repeat(first, threshold):
        if second is None or not second.has_enough:
            return Status.UNKNOWN, "slower at first sight; no time was left to repeat it"
        if needs_repeat(second, threshold):
            return Status.WORSE, f"repeated: {second.ratio}"
        return Status.SAME, f"not confirmed, repeated: {second.ratio}"
    if first.ratio.half_width > resolution:
        return Status.UNKNOWN, f"too noisy: {first.ratio.high - 1:.0%} could be missed"
    return (Status.BETTER if first.ratio.high < 1 - least else Status.SAME), ""


def _excuse(row: Row, entries: Sequence[Accepted]) -> Row:
    if row.status is not Status.WORSE or row.base is None or row.head is None:
        return row
    ratio = row.ratio.estimate if row.ratio else row.head / row.base if row.base else math.inf
    for entry in entries:
        if entry.excuses(row.metric, row.work, ratio):
            note = f"accepted up to {entry.up_to:g}: {entry.reason}"
            changed: dict[str, Any] = {**vars(row), "status": Status.ACCEPTED, "note": note}
            return Row(**changed)
    return row


def _last(records: Iterable[Record]) -> Any:
    return next(iter(reversed(list(records))), None)
