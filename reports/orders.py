"""Orders in which values are listed: sizes by weights, numbers by value, checkpoints by memory."""

import itertools
import math
import re


def widths_of(size: str) -> tuple[int, ...]:
    """Widths of a network described as widths joined by dashes; of a stack, one after the other.

    >>> widths_of("64-32-64 batch 256"), widths_of("2 x 6-60-6 batch 10"), widths_of("64 points")
    ((64, 32, 64), (6, 60, 6, 6, 60, 6), ())
    """
    match = re.match(r"(?:(\d{1,3}) x )?(\d+(?:-\d+)+)(?!\S)", size)
    if match is None:
        return ()
    return tuple(int(width) for width in match[2].split("-")) * int(match[1] or 1)


def num_weights(size: str) -> int | None:
    """Weights of a network described as widths joined by dashes; None if it is not.

    >>> num_weights("64-32-64 batch 256")
    4096
    """
    match = re.match(r"(?:(\d{1,3}) x )?", size)
    widths = widths_of(size[match.end() :] if match else size)
    if not widths:
        return None
    blocks = int(match[1]) if match and match[1] else 1
    return blocks * sum(a * b for a, b in itertools.pairwise(widths))


def natural_order(value: int | str) -> tuple[int, float, tuple[tuple[int, str], ...]]:
    """Key that sorts numbers by value, before text; text with its numbers by value."""
    if isinstance(value, int):
        return (0, value, ())
    parts = re.split(r"(\d+)", value)
    return (1, 0, tuple((int(part) if part.isdecimal() else -1, part) for part in parts))


def size_order(size: str) -> tuple[float, object]:
    weights = num_weights(size)
    return (math.inf if weights is None else weights, natural_order(size))


_KEPT = ("states", "graphs", "stages", "activations")


def checkpoints_order(kept: int | str) -> tuple[object, ...]:
    """Key that sorts what is kept, from little to much: counts, states, stage states, graphs."""
    natural = natural_order(kept)
    return (natural[0], _KEPT.index(kept) if kept in _KEPT else len(_KEPT), natural)
