"""The paper's claims and its table of costs, beside what was measured here.

Matsubara, Miyatake, Yaguchi: Symplectic Adjoint Method for Exact Gradient of Neural ODE with
Minimal Memory, NeurIPS 2021, arXiv:2102.09750. Its seconds and MiB belong to its machine and are
not repeated; its claims are about ratios and growth, and these can be held against any machine.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from reports.drawings.notes import STEP_ERROR
from reports.finding import GAIN, LOSS, NOTE, Finding
from reports.formats import NOT_MEASURED, format_ratio, format_relative
from reports.labels import BASE_METHOD, OWN_METHODS, method_label, problem_label
from reports.summaries import Row, Summary
from reports.sweeps import sweeps
from reports.tables import Cell, Column, Table

TITLE = (
    "Takashi Matsubara, Yuto Miyatake, Takaharu Yaguchi: Symplectic Adjoint Method for Exact "
    "Gradient of Neural ODE with Minimal Memory, NeurIPS 2021, arXiv:2102.09750"
)
_CHECKPOINTING = ("checkpoint-solve", "checkpoint-step")
_ADJOINT = "torchdiffeq-adjoint"


@dataclass(frozen=True)
class Cost:
    """A row of the paper's table: M blocks, N steps (N' backward), s stages, L layers."""

    method: str
    exact: str
    kept: str
    graph: str
    cost: str


COSTS = (
    Cost(_ADJOINT, "no", "O(M)", "O(L)", "O((N + 2N') s L M)"),
    Cost(BASE_METHOD, "yes", "-", "O(N s L M)", "O(2 N s L M)"),
    Cost("checkpoint-solve", "yes", "O(M)", "O(N s L)", "O(3 N s L M)"),
    Cost("checkpoint-step", "yes", "O(M N)", "O(s L)", "O(3 N s L M)"),
    Cost("symadj", "yes", "O(M N + s)", "O(L)", "O(4 N s L M)"),
)


@dataclass(frozen=True)
class Claim:
    """What the paper says, and what was found here."""

    text: str
    found: Finding
    numbers: Table


def claims(summary: Summary) -> tuple[Claim, ...]:
    """Each claim of the paper beside the measurements of one run."""
    return (
        _ratio_claim(
            summary,
            "Less memory than backpropagation and every checkpointing scheme.",
            (BASE_METHOD, *_CHECKPOINTING),
            "Peak memory",
            lambda row: row.peak_bytes,
        ),
        _ratio_claim(
            summary,
            "Faster than the adjoint method, which needs small steps to suppress its error.",
            (_ADJOINT,),
            "Time",
            lambda row: row.time_ratio.value if row.time_ratio else None,
        ),
        _ratio_claim(
            summary,
            "The gradient is exact, up to rounding; the adjoint method's is not.",
            (_ADJOINT,),
            "Error, gradient of the same steps",
            lambda row: row.measurement.value(STEP_ERROR),
        ),
    )


def _ratio_claim(
    summary: Summary,
    text: str,
    others: tuple[str, ...],
    quantity: str,
    read: Callable[[Row], float | None],
) -> Claim:
    """Hold one of our methods against others in one quantity, problem by problem."""
    own = OWN_METHODS[0]
    present = [method for method in others if method in summary.methods]
    rows, ratios = [], []
    for problem in summary.problems:
        comparison = summary.headline(problem)
        ours = comparison.row(own)
        mine = read(ours) if ours else None
        if not mine or not math.isfinite(mine):
            continue
        facts = summary.run.problems.get(problem)
        label = problem_label(problem, facts)
        cells = [Cell(label.name), Cell(label.data or "not told")]
        for method in present:
            row = comparison.row(method)
            theirs = read(row) if row else None
            if not theirs or not math.isfinite(theirs):
                has_failed = row is not None and bool(row.measurement.failed)
                kind = "failed" if has_failed else "missing"
                cells.append(Cell("failed" if has_failed else NOT_MEASURED, kind=kind))
                continue
            ratios.append(mine / theirs)
            cells.append(Cell(format_ratio(mine / theirs), value=mine / theirs))
        rows.append(tuple(cells))
    table = Table(
        f"{quantity}: symadj over each method",
        (
            Column("Problem", is_number=False),
            Column("Data", "real, computed from a known equation, or synthetic", is_number=False),
            *(Column(f"over {method_label(m).name}") for m in present),
        ),
        tuple(rows),
    )
    return Claim(text, _held(ratios), table)


def _held(ratios: list[float]) -> Finding:
    if not ratios:
        return Finding(NOTE, "Not measured in this run.")
    wins = sum(ratio < 1 for ratio in ratios)
    kind = GAIN if wins == len(ratios) else NOTE if wins else LOSS
    return Finding(
        kind,
        f"Holds in {wins} of {len(ratios)} comparisons measured here; the ratio is "
        f"{format_ratio(min(ratios))} to {format_ratio(max(ratios))}, "
        f"{format_ratio(statistics.median(ratios))} in the median.",
    )


def cost_table(summary: Summary) -> Table:
    """The paper's table of costs, with the growth of peak memory that was measured here.

    Growth is the slope between the two ends of a sweep on logarithmic axes: 1 is proportional, 0 is
    none. What a method keeps and its graphs add up, so it lies between those of both.
    """
    slopes = _slopes(summary)
    rows = []
    for cost in COSTS:
        cells = [
            Cell(method_label(cost.method).name, style=method_label(cost.method).style),
            Cell(cost.exact),
            *(Cell(text) for text in (cost.kept, cost.graph, cost.cost)),
            _error_cell(summary, cost.method),
            _slope_cell(slopes.get(cost.method)),
            _evaluation_cell(summary, cost.method),
        ]
        rows.append(tuple(cells))
    return Table(
        "The paper's table of costs, and measured here",
        (
            Column("Method", is_number=False),
            Column("Exact (paper)", is_number=False),
            Column("Memory for checkpoints (paper)", is_number=False),
            Column("Memory for backprop (paper)", is_number=False),
            Column("Cost (paper)", is_number=False),
            Column("Largest error, same steps (here)"),
            Column("Memory grows with N to the power (here)"),
            Column("Work / N s (here)", "evaluations of f, and 1 more for each VJP, over N s"),
        ),
        tuple(rows),
    )


def _error_cell(summary: Summary, method: str) -> Cell:
    errors = [
        value
        for comparison in summary.comparisons
        for row in comparison.rows
        if row.method == method and (value := row.measurement.value(STEP_ERROR)) is not None
    ]
    if not errors:
        return Cell(NOT_MEASURED, kind="missing")
    return Cell(format_relative(max(errors)), value=max(errors))


def _slope_cell(slope: float | None) -> Cell:
    if slope is None:
        return Cell(NOT_MEASURED, kind="missing")
    return Cell(f"{slope:.2f}", value=slope)


def _slopes(summary: Summary) -> dict[str, float]:
    """Growth of each method's peak memory with the number of steps, the median of the sweeps."""
    found: dict[str, list[float]] = {}
    for sweep in sweeps(summary, "steps"):
        ends: dict[str, list[tuple[int, float]]] = {}
        for position, row in sweep.rows:
            if isinstance(position, int) and row.is_usual and row.peak_bytes:
                ends.setdefault(row.method, []).append((position, row.peak_bytes))
        for method, points in ends.items():
            (first, low), (last, high) = points[0], points[-1]
            if last > first:
                slope = math.log(high / low) / math.log(last / first)
                found.setdefault(method, []).append(slope)
    return {method: statistics.median(slopes) for method, slopes in found.items()}


def _evaluation_cell(summary: Summary, method: str) -> Cell:
    """Work of a method over the evaluations that a plain solve takes, both passes together."""
    found = []
    for comparison in summary.comparisons:
        row, base = comparison.row(method), comparison.base
        if row is None or base is None:
            continue
        values = [row.measurement.value(name) for name in ("nfe_forward", "nfe_backward", "nvjp")]
        plain = base.measurement.value("nfe_forward")
        if plain and None not in values:
            found.append(sum(value or 0.0 for value in values) / plain)
    if not found:
        return Cell(NOT_MEASURED, kind="missing")
    middle = statistics.median(found)
    return Cell(f"{middle:.2f}", value=middle)
