"""Tables of what was found so far, with what is wanted, and whether it is all there."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from .ledger import Verdict
from .planting import FAULTS, NO_FAULT, Fault

Plan = Mapping[tuple[str, Fault], int]
"""From the kind of comparison and the fault to how often it is planted."""

CONFIDENCE = 0.95

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


def as_planned(verdicts: Sequence[Verdict]) -> Plan:
    """Return the plan that verdicts carry out, for those that come from elsewhere."""
    faults = {fault.name: fault for fault in FAULTS}
    places = [(each.kind, faults[each.fault]) for each in verdicts if each.fault in faults]
    return collections.Counter(places)


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


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate, by Clopper & Pearson, Biometrika 26 (1934) 404.

    At each end, what was seen or farther off is seen in one case of forty.
    """
    tail = (1 - CONFIDENCE) / 2

    def at_most(rate: float, most: int) -> float:
        return sum(
            math.comb(total, each) * rate**each * (1 - rate) ** (total - each)
            for each in range(most + 1)
        )

    low = _falling_root(lambda rate: at_most(rate, count - 1) - (1 - tail)) if count else 0.0
    high = _falling_root(lambda rate: at_most(rate, count) - tail) if count < total else 1.0
    return low, high


def _falling_root(function: Callable[[float], float]) -> float:
    """Return where a function that falls from 0 to 1 is zero."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2


def _of(verdicts: Sequence[Verdict], kind: str, fault: Fault) -> list[Verdict]:
    return [each for each in verdicts if (each.kind, each.fault) == (kind, fault.name)]


def _line(fault: Fault, kind: str, wanted: int, verdicts: Sequence[Verdict]) -> str:
    cells = [fault.name, TITLES[kind]]
    if verdicts:
        worse = sum(each.exit_status == 1 for each in verdicts)
        no_verdict = sum(each.exit_status not in (0, 1) for each in verdicts)
        low, high = exact_interval(worse, len(verdicts))
        by = collections.Counter(name for each in verdicts for name in sorted(set(each.worse)))
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
