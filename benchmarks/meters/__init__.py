"""The meters: seconds, bytes, counts and joules of one gradient, for every method alike."""

from .clock import Stopwatch, synchronize
from .counting import CountingField
from .energy import joules
from .instructions import count_instructions
from .memory import PeakBytes, peak_bytes
from .operations import count_operations

__all__ = [
    "CountingField",
    "PeakBytes",
    "Stopwatch",
    "count_instructions",
    "count_operations",
    "joules",
    "peak_bytes",
    "synchronize",
]
