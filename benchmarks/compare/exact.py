"""The exact metrics of one work: one run is enough, on a machine however busy."""

from __future__ import annotations

import gc

from ..gradient import relative_error
from ..meters import peak_bytes
from ..methods import MethodUnavailableError
from ..references import step_gradient
from .counters import count_dispatched, count_saved
from .work import CPU, DTYPES, Ready

NAN = float("nan")

NUM_PEAKS = 3
"""Python's own free lists move a peak by up to 2 % where f calls autograd itself; the least of
three varies less."""


def exact_metrics(ready: Ready) -> dict[str, float]:
    """Measure what needs no clock; NaN where a metric does not apply.

    The metrics' names are those of ``thresholds.toml``.
    """
    dtype = DTYPES[ready.work.dtype]
    for _ in range(2):  # first calls fill caches that are none of the work's business
        ready.gradient()
    counts, gradient = ready.counted()
    dispatched = count_dispatched(ready.gradient, dtype)
    gc.collect()
    saved = count_saved(ready.gradient)
    steps = counts.accepted_steps if isinstance(ready.work.case.steps, str) else []
    try:
        error = relative_error(gradient, step_gradient(ready.instance, ready.how, steps))
    except MethodUnavailableError:  # without torchdiffeq there is no reference
        error = NAN
    return {
        "nfe_forward": float(counts.nfe["forward"]),
        "nfe_backward": float(counts.nfe["backward"]),
        "nvjp": float(sum(counts.nvjp.values())),
        "num_accepted": float(len(counts.accepted_steps)),
        "num_rejected": float(counts.num_rejected),
        "num_replayed_steps": counts.num_replayed_steps,
        "num_operations": float(dispatched.operations),
        "num_host_syncs": float(dispatched.host_syncs),
        "num_narrow_operations": float(dispatched.narrow_operations),
        "bytes_written": float(dispatched.bytes_written),
        "peak_saved_bytes": float(saved.peak),
        "peak_cpu_bytes": min(peak_bytes(ready.gradient, CPU).cpu for _ in range(NUM_PEAKS)),
        "relative_step_gradient_error": error,
    }
