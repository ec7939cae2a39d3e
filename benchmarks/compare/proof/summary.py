"""Tables of what was found so far, with what is wanted, and whether it is all there."""

from __future__ import annotations

import collections
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist

from .ledger import Verdict
from .planting import NO_FAULT, Fault

Plan = Mapping[tuple[str, Fault], int]
"""From the kind of comparison and the fault to how often it is planted."""

TITLES = {
    "exact": "exact metrics",
    "counted": "counting",
    "timed": "seconds",
    "whole": "whole comparison",
}


def as_table(plan: Plan, verdicts: Sequence[Verdict]) -> str:
    """Return a Markdown table, a fault a line; it says what is missing."""
    lines = [
        "| planted | compared by | worse | 95 % interval | not measured | longest, s | load | by |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(
            _line(fault, kind, wanted, _of(verdicts, kind, fault))
            for (kind, fault), wanted in plan.items()
        ),
    ]
    missing = num_missing(plan, verdicts)
    if missing:
        total = sum(plan.values())
        lines.append(
            f"\n**Partial**: {missing} of {total} runs are to be made; the same command goes on."
        )
    return "\n".join(lines)


def num_missing(plan: Plan, verdicts: Sequence[Verdict]) -> int:
    """Return how many of the planned runs have no verdict."""
    return sum(
        wanted - len(_of(verdicts, kind, fault)[:wanted]) for (kind, fault), wanted in plan.items()
    )


def failures(plan: Plan, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Return what is not as wanted in the runs that there are."""
    for kind, fault in plan:
        its = _of(verdicts, kind, fault)
        if not its:
            continue
        rate = sum(each.exit_status == 1 for each in its) / len(its)
        if fault is NO_FAULT:
            if rate > (0.01 if kind in ("timed", "whole") else 0.0):
                yield f"{fault.name}, {TITLES[kind]}: called worse in {rate:.1%}"
        elif rate < fault.wanted:
            yield f"{fault.name}: found in {rate:.1%}, wanted {fault.wanted:.0%}"


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate, by E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209."""
    z = NormalDist().inv_cdf(0.975)
    scale = 1 + z**2 / total
    rate = count / total
    middle = (rate + z**2 / (2 * total)) / scale
    half = z * math.sqrt(rate * (1 - rate) / total + (z / (2 * total)) ** 2) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def _of(verdicts: Sequence[Verdict], kind: str, fault: Fault) -> list[Verdict]:
    return [each for each in verdicts if (each.kind, each.fault) == (kind, fault.name)]


def _line(fault: Fault, kind: str, wanted: int, verdicts: Sequence[Verdict]) -> str:
    cells = [fault.name, TITLES[kind]]
    if verdicts:
        worse = sum(each.exit_status == 1 for each in verdicts)
        no_verdict = sum(each.exit_status not in (0, 1) for each in verdicts)
        low, high = wilson_interval(worse, len(verdicts))
        by = collections.Counter(name for each in verdicts for name in set(each.worse))
        cells += [
            f"{worse} of {len(verdicts)}" + (f" (of {wanted})" if len(verdicts) < wanted else ""),
            f"{low:.0%} to {high:.0%}",
            str(no_verdict),
            f"{max(each.seconds for each in verdicts):.0f}",
            f"{min(each.load for each in verdicts):.0f} to "
            f"{max(each.load for each in verdicts):.0f}",
            ", ".join(f"{name} ({count})" for name, count in by.most_common(4)),
        ]
    else:
        cells += [f"none of {wanted} yet", *[""] * 5]
    return f"| {' | '.join(cells)} |"
