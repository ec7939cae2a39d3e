"""The plane of every figure of memory against time: its two axes."""

from collections.abc import Sequence

from reports.axes import Axis, log_axis
from reports.formats import format_bytes, format_ratio, format_seconds

_TIME_MARGINS = (0.22, 0.22)
_MEMORY_MARGINS = (0.14, 0.14)

Plane = tuple[Axis, Axis]


def ratio_plane(memory_title: str, times: Sequence[float], memory: Sequence[float]) -> Plane:
    """Axes of times and memory relative to backpropagation's."""
    return (
        log_axis(
            "Time / backprop's time",
            times,
            format_ratio,
            reference=1.0,
            margins=_TIME_MARGINS,
            max_ticks=4,
        ),
        log_axis(
            f"{memory_title} / backprop's",
            memory,
            format_ratio,
            reference=1.0,
            margins=_MEMORY_MARGINS,
        ),
    )


def absolute_plane(memory_title: str, times: Sequence[float], memory: Sequence[float]) -> Plane:
    """Axes of seconds and bytes."""
    return (
        log_axis(
            "Wall time, forward and backward (ms, s)",
            times,
            format_seconds,
            margins=_TIME_MARGINS,
            max_ticks=4,
        ),
        log_axis(
            f"{memory_title} (KiB, MiB)",
            memory,
            format_bytes,
            binary=True,
            margins=_MEMORY_MARGINS,
        ),
    )
