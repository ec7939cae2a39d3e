"""When two times may be set against each other: the same steps, or the same error achieved.

docs/fairness.md has all rules, and where each of them is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

ERROR_MARGIN = 1.25
"""How much larger an error may be than the baseline's and still count as the same."""


@dataclass(frozen=True)
class Work:
    """What a method did for its time; NaN where it is not known.

    Attributes
    ----------
    num_accepted, num_rejected : float
        Steps of the forward pass; NaN for a method that is not known to take the baseline's.
    gradient_error : float
        Relative, against the true gradient.
    """

    num_accepted: float
    num_rejected: float
    gradient_error: float


def may_be_compared(own: Work, base: Work) -> bool:
    """Return whether a method's time may be divided by the baseline's.

    As many steps tried and taken as the baseline (the first step being given, they are the same
    ones), or a gradient error no larger. Where neither is known, it may not.
    """
    # one by one: a tuple is equal to itself even where a NaN in it is not
    if own.num_accepted == base.num_accepted and own.num_rejected == base.num_rejected:
        return True
    return own.gradient_error <= ERROR_MARGIN * base.gradient_error
