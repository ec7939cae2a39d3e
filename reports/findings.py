"""What was found, in sentences computed from the measurements: gains, and losses as plainly."""

import math
import statistics
from collections.abc import Callable, Sequence

from reports.dial import dials
from reports.dial_findings import dial_verdict
from reports.finding import GAIN, LOSS, NOTE, Finding
from reports.formats import format_ratio, format_relative
from reports.labels import BASE_METHOD, OWN_METHODS, method_label, problem_label
from reports.summaries import Comparison, Row, Summary


def findings(summary: Summary) -> list[Finding]:
    """Sentences for the overview, the most important first.

    Parameters
    ----------
    summary : Summary
        Comparisons of one run.

    Returns
    -------
    list of Finding
        At least one.
    """
    found: list[Finding] = []
    for method in OWN_METHODS:
        found += _against_base(summary, method)
    found += _least_memory(summary)
    found += _exactness(summary)
    found += _dials(summary)
    found += _single_samples(summary)
    if summary.failures:
        cases = plural(len(summary.failures), "case")
        found.append(
            Finding(LOSS, f"{cases} of {len(summary.run.measurements)} failed, in part or whole.")
        )
    return found or [
        Finding(
            NOTE, "Nothing can be compared: no method was measured beside torchdiffeq backprop."
        )
    ]


def verdict(summary: Summary) -> str:
    """Tell in one sentence what the symplectic adjoint costs and saves against backpropagation."""
    parts = []
    for method in OWN_METHODS:
        rows = [
            row
            for comparison in summary.comparisons
            for row in comparison.rows
            if row.method == method and row.is_usual and row.time_ratio is not None
        ]
        memory = [row.memory_ratio for row in rows if row.memory_ratio is not None]
        time = [row.time_ratio.value for row in rows if row.time_ratio is not None]
        if memory and time:
            parts.append(
                f"{method_label(method).name} takes {_middle(memory)} of the memory and "
                f"{_middle(time)} of the time"
            )
    if not parts:
        return "The symplectic adjoint and torchdiffeq backprop were not both measured in this run."
    return (
        f"Against torchdiffeq backprop, in the median over everything measured here, "
        f"{'; '.join(parts)}."
    )


def _middle(values: Sequence[float]) -> str:
    return format_ratio(statistics.median(values))


def _against_base(summary: Summary, method: str) -> list[Finding]:
    """Memory and time against backpropagation, over every configuration, as it comes.

    The other settings of its checkpoints are the dial's affair: they would count many times here.
    """
    rows = [
        (comparison, row)
        for comparison in summary.comparisons
        for row in comparison.rows
        if row.method == method
        and row.is_usual
        and row.time_ratio is not None
        and row.memory_ratio is not None
    ]
    if not rows:
        return []
    name = method_label(method).name
    memory = [row.memory_ratio for _, row in rows if row.memory_ratio is not None]
    time = [row.time_ratio.value for _, row in rows if row.time_ratio is not None]
    configurations = plural(len(rows), "configuration")
    problems = plural(len({c.configuration.problem for c, _ in rows}), "problem")
    kind = _kind(statistics.median(memory), statistics.median(time))
    found = [
        Finding(
            kind,
            f"{name}: {_spread(memory)} of the peak memory and {_spread(time)} of the time of "
            f"torchdiffeq backprop ({configurations} of {problems}).",
        )
    ]
    heavier = [item for item in rows if (item[1].memory_ratio or 0) > 1]
    slower = [item for item in rows if _is_slower(item[1])]
    if heavier:
        found.append(
            Finding(LOSS, f"{name} needs more memory than backprop on {_where(heavier, _memory)}.")
        )
    if slower:
        found.append(
            Finding(
                LOSS,
                f"{name} is slower than backprop on {_where(slower, _time)}.",
            )
        )
    return found


def _kind(memory: float, time: float) -> str:
    """Less of one and no more of the other is a gain, less memory for more time is a trade."""
    if memory < 1:
        return GAIN if time <= 1 else NOTE
    return LOSS


def _is_slower(row: Row) -> bool:
    """Slower beyond doubt: the whole interval of the ratio lies above one."""
    ratio = row.time_ratio
    if ratio is None:
        return False
    return (ratio.value if ratio.low is None else ratio.low) > 1


def _memory(row: Row) -> float:
    return row.memory_ratio or math.nan


def _time(row: Row) -> float:
    return row.time_ratio.value if row.time_ratio else math.nan


def _where(items: Sequence[tuple[Comparison, Row]], read: Callable[[Row], float]) -> str:
    """Problems with their worst ratio."""
    worst: dict[str, float] = {}
    for comparison, row in items:
        problem = problem_label(comparison.configuration.problem).name
        worst[problem] = max(worst.get(problem, 0.0), read(row))
    if len(worst) == 1:
        problem, value = next(iter(worst.items()))
        return f"{problem} ({format_ratio(value)} at most)"
    parts = [f"{problem} ({format_ratio(value)})" for problem, value in worst.items()]
    return f"{', '.join(parts[:-1])} and {parts[-1]}; the largest ratio of each is given"


def _least_memory(summary: Summary) -> list[Finding]:
    """How often one of our methods needs the least memory, and who is ahead otherwise."""
    total, wins = 0, 0
    ahead: dict[str, float] = {}
    for comparison in summary.comparisons:
        known = [(r.peak_bytes, r) for r in comparison.rows if r.peak_bytes is not None]
        if len({row.method for _, row in known}) < 2:
            continue
        if not any(row.method in OWN_METHODS for _, row in known):
            continue
        total += 1
        least, row = min(known, key=lambda item: item[0])
        if row.method in OWN_METHODS:
            wins += 1
            continue
        own = min(value for value, item in known if item.method in OWN_METHODS)
        name = method_label(row.method).name
        ahead[name] = max(ahead.get(name, 0.0), own / least if least else math.inf)
    if not total:
        return []
    count = f"{wins} of {plural(total, 'configuration')}"
    found = [
        Finding(
            GAIN if wins else LOSS, f"The symplectic adjoint needs the least memory in {count}."
        )
    ]
    for name, factor in ahead.items():
        found.append(
            Finding(
                LOSS,
                f"Where {name} needs the least, the symplectic adjoint needs up to "
                f"{format_ratio(factor)} as much.",
            )
        )
    return found


def _exactness(summary: Summary) -> list[Finding]:
    """Largest error against the gradient of the same steps: ours, then the others'."""
    worst: dict[str, float] = {}
    for comparison in summary.comparisons:
        for row in comparison.rows:
            value = row.measurement.value("relative_step_gradient_error")
            if value is not None:
                worst[row.method] = max(worst.get(row.method, 0.0), value)
    own = {method: worst[method] for method in OWN_METHODS if method in worst}
    if not own:
        return []
    text = f"Largest error against the gradient of the same steps: {_named(own)}"
    others = {m: v for m, v in worst.items() if m not in OWN_METHODS and m != BASE_METHOD}
    if BASE_METHOD in worst:
        others = {BASE_METHOD: worst[BASE_METHOD], **others}
    return [Finding(NOTE, f"{text}; {_named(others)}." if others else f"{text}.")]


def _dials(summary: Summary) -> list[Finding]:
    """Whether another exact method lies under the curve of the checkpoints."""
    found = []
    for dial in dials(summary):
        verdict_of_it = dial_verdict(dial)
        where = problem_label(dial.sweep.problem).name
        steps = dial.sweep.fixed.steps
        found.append(Finding(verdict_of_it.kind, f"{where}, {steps} steps: {verdict_of_it.text}"))
    return found


def _single_samples(summary: Summary) -> list[Finding]:
    """Say so where times were measured once only."""
    timed = [
        row.time_ratio
        for comparison in summary.comparisons
        for row in comparison.rows
        if row.time_ratio is not None and row.method != BASE_METHOD
    ]
    single = sum(ratio.low is None for ratio in timed)
    if not single:
        return []
    return [
        Finding(
            NOTE,
            f"{single} of {plural(len(timed), 'time ratio')} are single samples, without an "
            "interval: nothing tells them from noise.",
        )
    ]


def _named(values: dict[str, float]) -> str:
    return ", ".join(
        f"{method_label(method).name} {format_relative(value)}" for method, value in values.items()
    )


def _spread(values: Sequence[float]) -> str:
    """Smallest to largest, with the median between; one number where they read the same."""
    low, high = format_ratio(min(values)), format_ratio(max(values))
    if low == high:
        return low
    return f"{low} to {high} (median {format_ratio(statistics.median(values))})"


def plural(count: int, noun: str) -> str:
    """Count and noun.

    >>> plural(1, "case"), plural(2, "case")
    ('1 case', '2 cases')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
