"""Invented comparisons, so that what is said of them can be tested without measuring."""

import numpy as np

from benchmarks.compare.commands import THRESHOLDS
from benchmarks.compare.journal import Journal
from benchmarks.compare.ratios import ORDER, Round
from reports.tolerances import read_thresholds

WORK = "mlp-steps/rk4/2-8-2 batch 4/4/default/float32"
LIMITS = read_thresholds(THRESHOLDS)
SECONDS = LIMITS["own_seconds"]


def rounds(ratio, generator, noise=0.03, launches=8, per_launch=20, bias=0.004, blocked=0.0):
    """Rounds of a head that takes ``ratio`` times as long, on a machine that drifts and is noisy.

    Each launch has its own bias, as processes have; one block in thirty is disturbed by a factor.
    """
    made = []
    for launch in range(1, launches + 1):
        speed = dict(
            zip(("base", "head", "control"), 1 + bias * generator.normal(size=3), strict=True)
        )
        for _ in range(per_launch):
            blocks, drift = [], 1 + 0.5 * generator.random()
            for place, name in enumerate(ORDER):
                own = 0.02 * drift * (1 + 0.02 * place) * speed[name]
                own *= (ratio if name == "head" else 1) * np.exp(noise * generator.normal())
                own *= 1 + generator.random() * (generator.random() < 0.03)
                off = own * blocked if name == "head" else 0.0
                blocks.append((own + off + 0.5 * own, own + off, off))
            made.append(Round(launch, tuple(blocks)))
    return made


def journal(records=(), works=(WORK,), **header):
    """A finished journal that no file has."""
    whole = {"works": list(works), "base": {"label": "a"}, "head": {"label": "b"}, **header}
    return Journal(None, whole, [*records, {"kind": "done"}])


def exact(base, head, work=WORK):
    """Records of both sides' exact metrics; a string is a failure."""
    return [
        {"kind": "exact", "work": work, "side": side}
        | ({"failure": given} if isinstance(given, str) else {"values": given})
        for side, given in (("base", base), ("head", head))
    ]


def counted(base, head, head_misses=0.0, work=WORK):
    """Records of both sides' instructions, and misses of the last cache."""
    events = dict.fromkeys(("I1mr", "D1mr", "D1mw", "ILmr", "DLmr", "DLmw"), 0.0)
    return [
        {"kind": "instructions", "work": work, "side": side, "values": {**events, **more}}
        for side, more in (("base", {"Ir": base}), ("head", {"Ir": head, "DLmr": head_misses}))
    ]


def timed(made, attempt=1, work=WORK):
    """Records of rounds."""
    return [
        {"kind": "round", "work": work, "try": attempt, "launch": one.launch, "blocks": one.blocks}
        for one in made
    ]
