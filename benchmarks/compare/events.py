"""What callgrind counts, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping

INSTRUCTIONS = "instructions"
CYCLES = "estimated_cycles"

CACHES = ("--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")
"""Bytes, ways, bytes a line: a core's own two levels, the same on every machine."""


_NEEDED = frozenset({"Ir", "I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw"})


def read_events(dump: str) -> dict[str, float]:
    """Return the totals of one of callgrind's files, by the event's name."""
    lines = dict(line.split(":", 1) for line in dump.splitlines() if line.count(":"))
    names, totals = (lines.get(key, "").split() for key in ("events", "totals"))
    return {name: float(total) for name, total in zip(names, totals, strict=False)}


def metrics(events: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that are compared, as far as their events were counted.

    The estimate of cycles is KCachegrind's: 10 for a miss of the first level, 100 for one of both.
    """
    if _NEEDED - set(events):
        return {}
    first = sum(events[name] for name in ("I1mr", "D1mr", "D1mw"))
    last = sum(events[name] for name in ("ILmr", "DLmr", "DLmw"))
    return {INSTRUCTIONS: events["Ir"], CYCLES: events["Ir"] + 10 * first + 100 * last}
