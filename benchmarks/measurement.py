"""The figures that a case yields: one field a meter, its unit and where it applies beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

Applies = Literal["always", "cuda", "asked", "floor", "asked floor"]


def _meter(unit: str, applies: Applies = "always") -> float:
    measured: float = field(metadata={"unit": unit, "applies": applies})
    return measured


@dataclass(frozen=True)
class Measurement:
    """The figures of one case; NaN where a meter does not apply.

    Seconds are medians and quartiles over interleaved rounds, on the wall's clock and, on a GPU,
    on its own; the ratio is the median of the rounds' own ratios to torchdiffeq's backpropagation,
    with a 95 % bootstrap interval. Bytes are peaks above the start of the call: on a GPU, of
    tensors and of what torch reserved to hold them. Steps and forward evaluations are those of the
    forward pass; ``nvjp`` counts the vjps of both passes, ``nvjp_forward`` those of the forward
    pass among them. Operations are what torch is given to do in one gradient, views included.
    Replayed steps are those that were taken again as a whole, since their states had not been
    kept; of a case that is left out because it would replay too many, they are the only figure.
    The first call, with all that is compiled and warmed up in it, is in no other figure. The
    outcome is a `Code` where there are no figures, or none that may be compared; else NaN.
    What is held against its floor has the median of the rounds' ratios to the bare evaluations and
    products that it needs, with an interval as above; the least bytes; and the operations and
    instructions of the bare loop.
    Gradient errors are Euclidean, over (y0, parameters): against the true gradient, and
    against float64 backpropagation over the very steps that were taken.
    """

    wall_seconds: float = _meter("seconds")
    wall_seconds_q25: float = _meter("seconds")
    wall_seconds_q75: float = _meter("seconds")
    wall_seconds_forward: float = _meter("seconds")
    wall_seconds_backward: float = _meter("seconds")
    wall_ratio: float = _meter("ratio")
    wall_ratio_low: float = _meter("ratio")
    wall_ratio_high: float = _meter("ratio")
    seconds_per_sample: float = _meter("seconds")
    first_call_seconds: float = _meter("seconds")
    cuda_seconds: float = _meter("seconds", "cuda")
    peak_cpu_bytes: float = _meter("bytes")
    peak_gpu_bytes: float = _meter("bytes", "cuda")
    peak_gpu_reserved_bytes: float = _meter("bytes", "cuda")
    energy_joules: float = _meter("joules", "cuda")
    nfe_forward: float = _meter("count")
    nfe_backward: float = _meter("count")
    nvjp: float = _meter("count")
    nvjp_forward: float = _meter("count")
    num_operations: float = _meter("count")
    num_instructions: float = _meter("count", "asked")
    num_accepted: float = _meter("count")
    num_rejected: float = _meter("count")
    num_replayed_steps: float = _meter("count")
    relative_gradient_error: float = _meter("relative")
    relative_step_gradient_error: float = _meter("relative")
    num_threads: float = _meter("count")
    outcome: float = _meter("code")
    bare_ratio: float = _meter("ratio", "floor")
    bare_ratio_low: float = _meter("ratio", "floor")
    bare_ratio_high: float = _meter("ratio", "floor")
    floor_bytes: float = _meter("bytes", "floor")
    num_bare_operations: float = _meter("count", "floor")
    num_bare_instructions: float = _meter("count", "asked floor")


METER_UNITS: dict[str, str] = {entry.name: entry.metadata["unit"] for entry in fields(Measurement)}


def applicable_meters(
    *, on_cuda: bool, with_instructions: bool, with_floor: bool
) -> tuple[str, ...]:
    """Return the meters that can have a figure: the others would cost asv a process a case."""
    chosen = {
        "always": True,
        "cuda": on_cuda,
        "asked": with_instructions,
        "floor": with_floor,
        "asked floor": with_instructions and with_floor,
    }
    return tuple(entry.name for entry in fields(Measurement) if chosen[entry.metadata["applies"]])
