"""Which method for which budget: what was measured, carried over to other sizes by memory laws.

What a method keeps is known up to a factor (of the order of one): so many graphs of one evaluation
of f, so many states. The factor is measured, on the nearest configuration of the same problem; the
law carries it to the steps, stages, batch and network that are asked for. How far that is off
is told too: each configuration is predicted from the nearest other one.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reports.drawings.notes import configuration_text
from reports.formats import format_bytes, format_compact
from reports.orders import num_weights, widths_of
from reports.summaries import DEFAULT_CHECKPOINTS, Comparison, Row, Summary
from reports.tables import Cell, Column, Table

# Bytes kept, as a sum of products. N: steps, s: stages, S: bytes of the state, G: of the graph of
# one evaluation of f, W: of the weights, C: checkpoints.
_STATES = ("N*S", "s*S", "G", "W")
LAWS: Mapping[str, tuple[str, ...]] = {
    "torchdiffeq-backprop": ("N*s*G", "W"),
    "checkpoint-solve": ("N*s*G", "W"),
    "checkpoint-step": ("N*S", "s*G", "W"),
    "torchdiffeq-adjoint": ("S", "G", "W", "W", "W"),
    "torchdiffeq-seminorm": ("S", "G", "W", "W", "W"),
    "paper-symplectic": _STATES,
    "paper-aca": ("N*S", "s*G", "W"),
    "symadj": _STATES,
    "symadj-stages": ("N*s*S", "G", "W"),
}
_SETTINGS = {
    "states": _STATES,
    "graphs": ("N*S", "s*G", "W"),
    "stages": ("N*s*S", "G", "W"),
    "activations": ("N*s*G", "W"),
}
_COUNTED = ("C*S", "s*S", "G", "W")

STAGES = {
    "euler": 1,
    "midpoint": 2,
    "heun2": 2,
    "adaptive_heun": 2,
    "fehlberg2": 3,
    "heun3": 3,
    "bosh3": 3,
    "rk4": 4,
    "rk4_classic": 4,
    "dopri5": 6,
    "tsit5": 6,
    "dopri8": 13,
}
_WORD = 4  # bytes of a float32
BUDGETS = (2.0**29, 2.0**31, 2.0**33, 24 * 2.0**30)


@dataclass(frozen=True)
class Place:
    """A configuration in numbers that memory and time grow with.

    Attributes
    ----------
    problem, tableau, size : str
        As in the results.
    steps, stages, batch, width : int
        Steps taken, stages of the tableau, samples, and numbers in the state of one sample.
    nodes, weights : int
        Outputs of all layers for one sample, and weights; 0 where the size does not tell.
    """

    problem: str
    tableau: str
    size: str
    steps: int
    stages: int
    batch: int
    width: int
    nodes: int
    weights: int

    def symbols(self, checkpoints: int | str, graph_bytes: float) -> dict[str, float]:
        """Values of the letters of a law."""
        return {
            "N": self.steps,
            "s": self.stages,
            "S": _WORD * self.batch * self.width,
            "G": graph_bytes,
            "W": _WORD * self.weights,
            "C": checkpoints if isinstance(checkpoints, int) else 0,
        }


@dataclass(frozen=True)
class Offer:
    """A method on a configuration: what it took there, and the law it follows elsewhere."""

    row: Row
    place: Place
    graph_bytes: float
    law: tuple[str, ...]

    def peak_bytes(self, place: Place) -> float:
        """Peak memory on another configuration of the same problem, in bytes."""
        kept = self.row.measurement.case.checkpoints
        here = evaluate(self.law, self.place.symbols(kept, self.graph_bytes))
        graph = self.graph_bytes * _growth(self.place, place)
        there = evaluate(self.law, place.symbols(kept, graph))
        return (self.row.peak_bytes or math.nan) * there / here

    def most_steps(self, budget_bytes: float) -> float:
        """Most steps that fit a budget, all else as measured; infinite if any number fits."""
        kept = self.row.measurement.case.checkpoints
        symbols = self.place.symbols(kept, self.graph_bytes)
        factor = (self.row.peak_bytes or math.nan) / evaluate(self.law, symbols)
        none, one = (factor * evaluate(self.law, symbols | {"N": n}) for n in (0.0, 1.0))
        if none > budget_bytes:
            return 0.0
        return math.floor((budget_bytes - none) / (one - none)) if one > none else math.inf


def evaluate(law: Iterable[str], symbols: Mapping[str, float]) -> float:
    """Value of a law: a sum of products of letters."""
    return sum(math.prod(symbols[name] for name in term.split("*")) for term in law)


def _growth(here: Place, there: Place) -> float:
    """How much larger the graph of one evaluation is there."""
    nodes = there.nodes / here.nodes if here.nodes and there.nodes else 1.0
    return nodes * there.batch / here.batch


def law_of(row: Row) -> tuple[str, ...] | None:
    """Law of a method with what it keeps; None if it has none that is known here."""
    kept = row.measurement.case.checkpoints
    if row.method == "symadj" and kept != DEFAULT_CHECKPOINTS:
        return _COUNTED if isinstance(kept, int) else _SETTINGS.get(kept)
    return LAWS.get(row.method)


def place_of(row: Row) -> Place | None:
    """Configuration of a row in numbers; None if its steps or stages are not known."""
    work = row.measurement.case.configuration
    steps = row.measurement.value("num_accepted")
    if isinstance(work.steps, int):
        steps = work.steps
    stages = STAGES.get(work.tableau)
    batch = re.search(r"batch (\d+)$", work.size)
    width = re.search(r"(?:\d+ x )?(\d+)", work.size)
    if not steps or not stages or not math.isfinite(steps) or batch is None or width is None:
        return None
    return Place(
        work.problem,
        work.tableau,
        work.size,
        int(steps),
        stages,
        int(batch[1]) or 1,
        int(width[1]) or 1,
        sum(widths_of(work.size)),
        num_weights(work.size) or 0,
    )


def offers(comparison: Comparison) -> tuple[Offer, ...]:
    """Methods of a configuration whose memory was measured and can be carried over.

    The graph of one evaluation is what backpropagation takes, over the evaluations it keeps;
    where that was not measured, two numbers for each output of each layer.
    """
    base = comparison.base
    found = []
    for row in comparison.rows:
        law, place = law_of(row), place_of(row)
        if law is None or place is None or not row.peak_bytes:
            continue
        if base is not None and base.peak_bytes:
            graph = base.peak_bytes / (place.steps * place.stages)
        else:
            graph = 2.0 * _WORD * place.batch * (place.nodes or place.width)
        found.append(Offer(row, place, graph, law))
    return tuple(found)


def distance(here: Place, there: Place) -> float:
    """How far two configurations of a problem lie apart, in factors."""
    pairs = (
        (here.steps, there.steps),
        (here.stages, there.stages),
        (here.batch, there.batch),
        (here.width, there.width),
        (here.nodes or 1, there.nodes or 1),
    )
    return sum(abs(math.log(a / b)) for a, b in pairs)


def prediction_factors(summary: Summary) -> list[float]:
    """How far each measured peak is from that carried over from the nearest other configuration.

    Returns
    -------
    list of float
        The larger over the smaller of both, at least one, in rising order; empty if no problem has
        two configurations.
    """
    factors = []
    for problem in summary.problems:
        found = [offer for item in summary.of_problem(problem) for offer in offers(item)]
        for offer in found:
            others = [
                other
                for other in found
                if _is_alike(offer, other) and distance(offer.place, other.place) > 0
            ]
            if others:
                near = min(others, key=lambda other: distance(offer.place, other.place))
                factor = near.peak_bytes(offer.place) / (offer.row.peak_bytes or math.nan)
                factors.append(max(factor, 1 / factor))
    return sorted(factors)


def _is_alike(one: Offer, other: Offer) -> bool:
    a, b = one.row.measurement.case, other.row.measurement.case
    return (a.method, a.checkpoints) == (b.method, b.checkpoints)


@dataclass(frozen=True)
class Rung:
    """A method of a ladder, and the steps up to which it is the fastest that fits."""

    offer: Offer
    most_steps: float

    @property
    def text(self) -> str:
        """The steps, in words."""
        if self.most_steps == math.inf:
            return "for any number of steps"
        return f"up to {format_compact(self.most_steps)} steps"


def ladder(found: Iterable[Offer], budget_bytes: float) -> tuple[Rung, ...]:
    """List exact methods, the fastest first, each one that fits more steps than those before it."""
    timed = [
        (ratio.value, offer)
        for offer in found
        if offer.row.look.is_exact and (ratio := offer.row.time_ratio or offer.row.seconds)
    ]
    rungs: list[Rung] = []
    for _, offer in sorted(timed, key=lambda item: item[0]):
        most = offer.most_steps(budget_bytes)
        if most >= 1 and (not rungs or most > rungs[-1].most_steps):
            rungs.append(Rung(offer, most))
    return tuple(rungs)


def budget_table(summary: Summary, pages: Mapping[str, str]) -> Table:
    """The ladder of each problem within each budget."""
    rows = []
    for problem in summary.problems:
        comparison = summary.headline(problem)
        found = offers(comparison)
        if not found:
            continue
        cells = [
            Cell(summary.problem_name(problem), href=pages[problem]),
            Cell(configuration_text(comparison)),
        ]
        for budget in BUDGETS:
            rungs = ladder(found, budget)
            text = "; ".join(f"{rung.offer.row.label} {rung.text}" for rung in rungs)
            least = min((offer.row.peak_bytes or math.inf for offer in found), default=math.inf)
            nothing = f"none measured fits: the least takes {format_bytes(least)} as measured"
            cells.append(Cell(text or nothing, kind="" if text else "missing"))
        rows.append(tuple(cells))
    return Table(
        "The fastest exact method within a budget",
        (
            Column("Problem", is_number=False),
            Column("As measured", is_number=False),
            *(Column(f"Within {format_bytes(budget)}", is_number=False) for budget in BUDGETS),
        ),
        tuple(rows),
    )


def code_of(row: Row) -> str:
    """The line of code that uses a method, or "" if there is no one line."""
    kept = row.measurement.case.checkpoints
    if row.method != "symadj" or kept == DEFAULT_CHECKPOINTS:
        return row.look.code
    arguments = {
        "states": "",
        "stages": ', checkpoints="stages"',
        "activations": ', checkpoints="activations"',
        "graphs": ', options={"graphs": 100}',
    }
    extra = f", checkpoints={kept}" if isinstance(kept, int) else arguments.get(kept, "")
    return f"symadj.odeint(f, y0, t{extra})"
