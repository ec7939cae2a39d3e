"""Whether another exact method lies under the curve of the dial, in sentences from the numbers."""

from reports.dial import FASTER, LIGHTER, OVER, UNDECIDED, UNDER, Dial
from reports.finding import GAIN, LOSS, NOTE, Finding
from reports.formats import format_bytes, format_ratio, format_seconds
from reports.summaries import Row

_PHRASES = {
    UNDER: "under the curve",
    UNDECIDED: "not told apart from the curve",
    FASTER: "faster than every setting, for more memory than the fastest",
    LIGHTER: "lighter than every setting, for more time than the lightest",
}


def dial_verdict(dial: Dial) -> Finding:
    """Tell whether another exact method lies under the curve."""
    under = [row for row in dial.judged if dial.standing(row) == UNDER]
    unclear = [row for row in dial.judged if dial.standing(row) == UNDECIDED]
    if not dial.judged:
        return Finding(NOTE, "No other exact method was measured beside the settings of symadj.")
    if under:
        verb = "lies" if len(under) == 1 else "lie"
        return Finding(
            LOSS,
            f"{_names(under)} {verb} under the curve of symadj's settings: exact, with less memory "
            "in the same time.",
        )
    if unclear:
        return Finding(
            NOTE,
            f"Whether {_names(unclear)} is under the curve of symadj's settings cannot be told: "
            "the intervals of the times do not agree on it.",
        )
    return Finding(GAIN, "No other exact method lies under the curve of symadj's settings.")


def dial_findings(dial: Dial) -> list[Finding]:
    """Sentences for one dial: its verdict, then each other method by its numbers."""
    found = [dial_verdict(dial)]
    for standing, phrase in _PHRASES.items():
        kind = LOSS if standing == UNDER else NOTE
        found += [
            Finding(kind, _sentence(dial, row, phrase))
            for row in dial.judged
            if dial.standing(row) == standing
        ]
    over = [row for row in dial.judged if dial.standing(row) == OVER]
    if over:
        found.append(Finding(NOTE, f"Over the curve: {_names(over)}."))
    inexact = [row for row in dial.others if not row.look.is_exact and dial.is_measured(row)]
    if inexact:
        found.append(Finding(NOTE, f"Not judged, as not known to be exact: {_names(inexact)}."))
    return found


def _sentence(dial: Dial, row: Row, phrase: str) -> str:
    near = "; ".join(
        f"{setting.label}: {_numbers(dial, setting)}" for setting in dial.neighbours(row)
    )
    return f"{row.label}, {phrase}: {_numbers(dial, row)} (nearest in time, {near})."


def _numbers(dial: Dial, row: Row) -> str:
    time, memory = dial.time(row), dial.memory(row)
    if time is None or memory is None:
        return "an unknown place"
    if dial.is_relative:
        return f"{format_ratio(time.value)} the time and {format_ratio(memory)} the memory"
    return f"{format_seconds(time.value)} and {format_bytes(memory)}"


def _names(rows: list[Row]) -> str:
    names = [row.label for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
