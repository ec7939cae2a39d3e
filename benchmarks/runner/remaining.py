"""A guess of the time left, from what took how long."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..groups import Group, title

Timed = tuple[Group, float]
"""A group and the seconds that it took."""


def remaining_seconds(
    done: Sequence[Timed], left: Sequence[Group], earlier: Mapping[str, float]
) -> float:
    """Guess how long the groups that are left will take; NaN where nothing is known.

    A group that an earlier run measured is taken to need what it needed then, by the pace of this
    run; any other as much as the mean of all that are known.

    Parameters
    ----------
    done : sequence of (group, seconds)
        What this run has measured.
    left : sequence of group
        What it has not.
    earlier : mapping from title to seconds
        What a case of each group took in an earlier run.
    """
    if not left:
        return 0.0
    compared = [(group, seconds) for group, seconds in done if title(group) in earlier]
    then = sum(earlier[title(group)] * len(group) for group, _ in compared)
    pace = sum(seconds for _, seconds in compared) / then if then > 0 else 1.0
    known = [pace * earlier[title(group)] for group in left if title(group) in earlier]
    known += [seconds / len(group) for group, seconds in done]
    if not known:
        return math.nan
    mean = sum(known) / len(known)
    return sum(
        len(group) * (pace * earlier[title(group)] if title(group) in earlier else mean)
        for group in left
    )


def spoken(seconds: float) -> str:
    """Say a duration as one would.

    >>> spoken(42.0), spoken(100.0), spoken(5000.0), spoken(float("nan"))
    ('42 s', '2 min', '1 h 23 min', 'an unknown time')
    """
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
