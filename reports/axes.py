"""Ranges and ticks of axes, so that both renderers show the same ones."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_MAX_TICKS = 6
_MANTISSAS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))


@dataclass(frozen=True)
class Axis:
    """One axis of a figure.

    Attributes
    ----------
    title : str
        What is shown.
    low, high : float
        Its ends, in data units.
    ticks : tuple of (float, str)
        Values and their text, the unit inside.
    is_log : bool
        Whether it is logarithmic.
    is_category : bool
        Whether the ticks are names; values are then whole numbers from 0.
    reference : float or None
        A value to draw a line at: the base of a ratio.
    """

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    is_log: bool = False
    is_category: bool = False
    reference: float | None = None

    def fraction(self, value: float) -> float:
        """Position between the ends, from 0 to 1."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def text(self, value: float) -> str:
        """Name of a category, or the plain number."""
        if self.is_category:
            return self.ticks[round(value)][1].replace("\n", " ")
        return repr(value)


def log_axis(
    title: str,
    values: Iterable[float],
    text: Callable[[float], str],
    *,
    binary: bool = False,
    reference: float | None = None,
    margins: tuple[float, float] = (0.1, 0.1),
    max_ticks: int = _MAX_TICKS,
) -> Axis:
    """Logarithmic axis that holds the values with room to spare.

    Parameters
    ----------
    title : str
        What is shown, with the base of a ratio.
    values : iterable of float
        Positive numbers; at least one, or a reference.
    text : callable
        From a value to the text of its tick.
    binary : bool
        Ticks at powers of two (bytes).
    reference : float, optional
        A value that has to be on the axis too.
    margins : (float, float)
        Room below and above, as a share of the range; labels beside points need some.
    max_ticks : int
        Most ticks there is room for.
    """
    known = [*values, *([] if reference is None else [reference])]
    low, high = math.log10(min(known)), math.log10(max(known))
    least = math.log10(4.5 if binary else 2.2)
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    span = high - low
    low, high = low - margins[0] * span, high + margins[1] * span
    ticks = _binary_ticks(low, high) if binary else _decimal_ticks(low, high, max_ticks)
    return Axis(
        title,
        10**low,
        10**high,
        tuple((value, text(value)) for value in ticks),
        is_log=True,
        reference=reference,
    )


def _decimal_ticks(low: float, high: float, max_ticks: int) -> list[float]:
    """Ticks between two exponents of ten: the finest ladder with few enough rungs."""
    ladders = [_ladder(low, high, mantissas, 1) for mantissas in _MANTISSAS]
    for ticks in reversed(ladders):
        if len(ticks) <= max_ticks:
            return ticks
    every = math.ceil(len(ladders[0]) / max_ticks)
    return _ladder(low, high, (1,), every)


def _ladder(low: float, high: float, mantissas: Sequence[float], every: int) -> list[float]:
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = (
        float(f"{mantissa}e{decade}")
        for decade in decades
        if decade % every == 0
        for mantissa in mantissas
    )
    return [value for value in values if low <= math.log10(value) <= high]


def _binary_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.ceil(low / math.log10(2)), math.floor(high / math.log10(2)) + 1)
    every = max(1, math.ceil(len(exponents) / _MAX_TICKS))
    return [2.0**exponent for exponent in exponents if exponent % every == 0]


def zero_axis(
    title: str, values: Iterable[float], text: Callable[[float], str], *, room: float = 0.5
) -> Axis:
    """Linear axis from zero, for bars; bytes get ticks at round numbers of their binary unit."""
    high = max(values, default=0.0) or 1.0
    unit = 1.0
    if text(2.0).endswith("B"):
        while high / unit >= 1024:
            unit *= 1024
    step = _nice_step(high / unit / 2.5) * unit
    ticks = [step * k for k in range(math.floor(high / step) + 1)]
    return Axis(title, 0.0, high * (1 + room), tuple((tick, text(tick)) for tick in ticks))


def linear_axis(title: str, values: Iterable[float], text: Callable[[float], str]) -> Axis:
    """Linear axis around values of any sign."""
    known = list(values)
    low, high = min(known), max(known)
    span = (high - low) or abs(high) or 1.0
    low, high = low - 0.1 * span, high + 0.1 * span
    step = _nice_step((high - low) / 5)
    ticks = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return Axis(title, low, high, tuple((tick, text(tick)) for tick in ticks))


def _nice_step(least: float) -> float:
    """Smallest of 1, 2, 5 times a power of ten that is no less than this."""
    decade = 10.0 ** math.floor(math.log10(least))
    return next(m * decade for m in (1, 2, 5, 10) if m * decade >= least * (1 - 1e-9))


def category_axis(title: str, names: Sequence[str], *, room: float = 0.0) -> Axis:
    """Axis of names, at 0, 1, 2, ..., with room at the far end for labels."""
    ticks = tuple((float(position), name) for position, name in enumerate(names))
    return Axis(title, -0.6, len(names) - 0.4 + room, ticks, is_category=True)
