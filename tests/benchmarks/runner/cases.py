"""Small groups of cases for tests of what is done with them."""

import math

from benchmarks.cases import Case
from benchmarks.measurement import METER_UNITS, Measurement


def group(steps=3, methods=("symadj", "torchdiffeq-backprop")):
    return tuple(
        Case("mlp-steps", method, "rk4", "2-8-2 batch 4", steps, "default") for method in methods
    )


def measurement(value=1.5):
    """Figures that differ, one of them NaN and one infinite."""
    figures = {meter: value + i for i, meter in enumerate(METER_UNITS)}
    return Measurement(
        **figures | {"peak_gpu_bytes": math.nan, "relative_gradient_error": math.inf}
    )
