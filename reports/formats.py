"""Numbers as people read them: KiB and MiB, ms and s, ratios, errors, counts."""

import math
from collections.abc import Callable
from dataclasses import dataclass

NOT_MEASURED = "-"
FAILED = "failed"
NOT_RUN = "not run"

_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_SECOND_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"


def _significant(value: float, digits: int = 3) -> str:
    """Decimal text with this many significant digits and no exponent."""
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, decimals):.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_bytes(value: float) -> str:
    """Bytes in the largest binary unit that leaves a number of at least one.

    >>> format_bytes(512), format_bytes(1536), format_bytes(22.4 * 2**20)
    ('512 B', '1.5 KiB', '22.4 MiB')
    """
    if not math.isfinite(value):
        return format_special(value)
    unit = 0
    while abs(value) >= 1023.5 and unit < len(_BYTE_UNITS) - 1:
        value /= 1024
        unit += 1
    digits = 4 if abs(value) >= 1000 else 3
    return f"{_significant(value, digits)} {_BYTE_UNITS[unit]}"


def format_seconds(value: float) -> str:
    """Seconds in s, ms, µs or ns.

    >>> format_seconds(1.714), format_seconds(0.0305), format_seconds(0)
    ('1.71 s', '30.5 ms', '0 s')
    """
    if not math.isfinite(value):
        return format_special(value)
    if value == 0:
        return "0 s"
    fitting = (item for item in _SECOND_UNITS if abs(value) >= item[1] * 0.9995)
    unit, size = next(fitting, _SECOND_UNITS[-1])
    return f"{_significant(value / size)} {unit}"


def format_ratio(value: float) -> str:
    """Ratio with a multiplication sign, two decimals or two significant digits.

    >>> format_ratio(1.0449), format_ratio(0.0567), format_ratio(12.34)
    ('1.04×', '0.057×', '12.3×')
    """
    if not math.isfinite(value):
        return format_special(value)
    if abs(value) >= 10:
        return f"{_significant(value)}×"
    return f"{value:.2f}×" if abs(value) >= 0.095 else f"{_significant(value, 2)}×"


def format_change(value: float) -> str:
    """Ratio of a later value to an earlier one: in per cent where it is near one.

    >>> format_change(1.004), format_change(0.93), format_change(1.25), format_change(0.5)
    ('+0.4 %', '-7 %', '1.25×', '0.50×')
    """
    if math.isfinite(value) and abs(value - 1) < 0.0995:
        return f"{'+' if value > 1 else ''}{_significant(100 * (value - 1), 2)} %"
    return format_ratio(value)


def format_relative(value: float) -> str:
    """Relative error, with an exponent.

    >>> format_relative(3.14e-7), format_relative(0)
    ('3.1e-7', '0')
    """
    if not math.isfinite(value):
        return format_special(value)
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def format_joules(value: float) -> str:
    """Energy."""
    return f"{_significant(value)} J" if math.isfinite(value) else format_special(value)


def format_power(value: float) -> str:
    """Relative error as the text of a tick.

    >>> format_power(1e-7), format_power(1.5e-7)
    ('1e-7', '1.5e-7')
    """
    return format_relative(value).replace(".0e", "e")


def format_interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Both ends, the unit once if they share it.

    >>> format_interval(0.021, 0.0243, format_seconds), format_interval(1.44, 1.56, format_ratio)
    ('21–24.3 ms', '1.44–1.56×')
    """
    first, last = text(low), text(high)
    unit = last.lstrip("0123456789.")
    return f"{first.removesuffix(unit) if unit else first}–{last}"


def format_compact(value: float) -> str:
    """Count as the text of a tick.

    >>> format_compact(500), format_compact(20_000), format_compact(1_500_000)
    ('500', '20k', '1.5M')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{_significant(value / size)}{unit}"
    return _significant(value)


def format_count(value: float) -> str:
    """Count, with thin spaces between thousands."""
    if not math.isfinite(value):
        return format_special(value)
    text = f"{value:,.0f}" if value == round(value) else f"{value:,.3g}"
    return text.replace(",", _THIN_SPACE)


def format_number(value: float) -> str:
    """Plain number, three significant digits; with an exponent where it is small.

    >>> format_number(-12.345), format_number(0.5), format_number(1e-5)
    ('-12.3', '0.5', '1.0e-5')
    """
    if value and abs(value) < 1e-3:
        return format_relative(value)
    return _significant(value) if math.isfinite(value) else format_special(value)


def format_rate(value: float) -> str:
    """Samples per second, three significant digits."""
    if not math.isfinite(value):
        return format_special(value)
    rounded = float(_significant(value))
    return f"{rounded:,.0f}".replace(",", _THIN_SPACE) if rounded >= 100 else _significant(value)


def format_special(value: float) -> str:
    """Infinity and NaN, which a diverged gradient has."""
    return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")


@dataclass(frozen=True)
class Meter:
    """A quantity that is measured.

    Attributes
    ----------
    name : str
        Key in the result files.
    label : str
        Heading of a column or title of an axis.
    format : callable
        From a value in the stored unit to text.
    unit : str
        Stored unit, for the CSV files.
    """

    name: str
    label: str
    format: Callable[[float], str]
    unit: str


_KNOWN = {
    meter.name: meter
    for meter in (
        Meter("wall_seconds", "Wall time", format_seconds, "s"),
        Meter("wall_seconds_q25", "Wall time, lower quartile", format_seconds, "s"),
        Meter("wall_seconds_q75", "Wall time, upper quartile", format_seconds, "s"),
        Meter("wall_seconds_forward", "Forward", format_seconds, "s"),
        Meter("wall_seconds_backward", "Backward", format_seconds, "s"),
        Meter("wall_ratio", "Time ratio", format_ratio, "1"),
        Meter("wall_ratio_low", "Time ratio, low", format_ratio, "1"),
        Meter("wall_ratio_high", "Time ratio, high", format_ratio, "1"),
        Meter("seconds_per_sample", "Time per sample", format_seconds, "s"),
        Meter("peak_cpu_bytes", "Peak memory (CPU)", format_bytes, "B"),
        Meter("peak_gpu_bytes", "Peak memory (GPU)", format_bytes, "B"),
        Meter("first_call_seconds", "First call", format_seconds, "s"),
        Meter("cuda_seconds", "Time on the GPU", format_seconds, "s"),
        Meter("peak_gpu_reserved_bytes", "Reserved memory (GPU)", format_bytes, "B"),
        Meter("energy_joules", "Energy (GPU)", format_joules, "J"),
        Meter("nfe_forward", "NFE forward", format_count, "1"),
        Meter("nfe_backward", "NFE backward", format_count, "1"),
        Meter("nvjp", "VJPs", format_count, "1"),
        Meter("nvjp_forward", "VJPs forward", format_count, "1"),
        Meter("num_operations", "Operations of torch", format_count, "1"),
        Meter("num_instructions", "Machine instructions", format_count, "1"),
        Meter("num_accepted", "Steps accepted", format_count, "1"),
        Meter("num_rejected", "Steps rejected", format_count, "1"),
        Meter("num_replayed_steps", "Steps replayed", format_count, "1"),
        Meter("relative_gradient_error", "Error against the true gradient", format_relative, "1"),
        Meter(
            "relative_step_gradient_error",
            "Error against the gradient of the same steps",
            format_relative,
            "1",
        ),
    )
}
KNOWN_METERS = tuple(_KNOWN)


# What a word in the name of an unknown meter tells of it, the first that is there.
_BY_WORD: tuple[tuple[str, Callable[[float], str], str], ...] = (
    ("seconds", format_seconds, "s"),
    ("bytes", format_bytes, "B"),
    ("joules", format_joules, "J"),
    ("relative", format_relative, "1"),
    ("error", format_relative, "1"),
    ("ratio", format_ratio, "1"),
)


def meter(name: str) -> Meter:
    """Describe a meter; one that is not known is described by the unit in its name."""
    if name in _KNOWN:
        return _KNOWN[name]
    label = name.replace("_", " ").capitalize()
    known = ((text, unit) for word, text, unit in _BY_WORD if word in name.split("_"))
    text, unit = next(known, (format_count, "1"))
    return Meter(name, label, text, unit)
