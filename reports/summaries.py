"""Measurements side by side: each beside the base of its configuration."""

from dataclasses import dataclass
from functools import cached_property

from reports.labels import (
    BASE_METHOD,
    MethodLabel,
    method_label,
    method_order,
    problem_label,
    problem_order,
    tableau_order,
)
from reports.orders import checkpoints_order, natural_order, size_order
from reports.records import Configuration, Measurement, Run

DEFAULT_CHECKPOINTS = "default"
_USUAL_CHECKPOINTS = (DEFAULT_CHECKPOINTS, "states")


@dataclass(frozen=True)
class Estimate:
    """A value with the interval it was recorded with, if any."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A measurement beside the base of its configuration.

    Attributes
    ----------
    measurement : Measurement
        The measurement itself.
    memory_meter : str
        Meter that memory is read from, the same for the whole run.
    base_bytes : float or None
        Peak memory of the base, in bytes.
    look : MethodLabel
        Name and marks of the method.
    """

    measurement: Measurement
    memory_meter: str
    base_bytes: float | None
    look: MethodLabel

    @property
    def method(self) -> str:
        """Gradient method."""
        return self.measurement.case.method

    @property
    def label(self) -> str:
        """Method, and what it kept if that was chosen."""
        return self._with_checkpoints(self.look.name)

    @property
    def short_label(self) -> str:
        """`label`, for use beside a point."""
        return self._with_checkpoints(self.look.short)

    def _with_checkpoints(self, name: str) -> str:
        kept = self.measurement.case.checkpoints
        return name if kept == DEFAULT_CHECKPOINTS else f"{name} [{kept}]"

    @property
    def is_usual(self) -> bool:
        """Whether it kept what it keeps unless told otherwise: every accepted state."""
        return self.measurement.case.checkpoints in _USUAL_CHECKPOINTS

    @property
    def seconds(self) -> Estimate | None:
        """Wall time with its quartiles, in seconds."""
        return self._estimate("wall_seconds", "wall_seconds_q25", "wall_seconds_q75")

    @property
    def time_ratio(self) -> Estimate | None:
        """Median of paired ratios of wall time to the base, with its 95 % interval.

        There is no fallback to a quotient of two times: measured apart, seconds do not compare.
        """
        return self._estimate("wall_ratio", "wall_ratio_low", "wall_ratio_high")

    @property
    def peak_bytes(self) -> float | None:
        """Peak memory, in bytes."""
        return self.measurement.value(self.memory_meter)

    @property
    def memory_ratio(self) -> float | None:
        """Peak memory relative to the base's."""
        if self.peak_bytes is None or not self.base_bytes:
            return None
        return self.peak_bytes / self.base_bytes

    def _estimate(self, center: str, low: str, high: str) -> Estimate | None:
        value = self.measurement.value(center)
        if value is None:
            return None
        bounds = (self.measurement.value(low), self.measurement.value(high))
        if None in bounds or bounds == (value, value):
            return Estimate(value)  # the base's ratio to itself has no interval either
        return Estimate(value, *bounds)


@dataclass(frozen=True)
class Comparison:
    """One configuration, every method."""

    configuration: Configuration
    rows: tuple[Row, ...]

    @property
    def base(self) -> Row | None:
        """Row of torchdiffeq's backpropagation, if it was run."""
        return next((row for row in self.rows if row.method == BASE_METHOD), None)

    def row(self, method: str) -> Row | None:
        """First row of a method, if it was run."""
        return next((row for row in self.rows if row.method == method), None)


@dataclass(frozen=True)
class Summary:
    """Everything of one run, compared."""

    run: Run
    memory_meter: str
    comparisons: tuple[Comparison, ...]
    known_methods: tuple[str, ...] = ()

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Problems, in the order of the labels."""
        return tuple(dict.fromkeys(item.configuration.problem for item in self.comparisons))

    @cached_property
    def work(self) -> tuple[str, ...]:
        """Problems that stand for real work; every problem, if none does."""
        return tuple(p for p in self.problems if not problem_label(p).is_axis) or self.problems

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Methods, in the order of the labels."""
        names = {row.method for item in self.comparisons for row in item.rows}
        return tuple(sorted(names, key=method_order))

    def problem_name(self, problem: str) -> str:
        """Heading of a problem; it says so where the data are synthetic."""
        return problem_label(problem, self.run.problems.get(problem)).name

    def of_problem(self, problem: str) -> tuple[Comparison, ...]:
        """Comparisons of one problem."""
        return tuple(c for c in self.comparisons if c.configuration.problem == problem)

    def headline(self, problem: str) -> Comparison:
        """The configuration that stands for a problem: most methods measured, most memory.

        Backpropagation's memory decides between equals: the heaviest work is where a choice of
        method matters.
        """

        def weight(comparison: Comparison) -> tuple[int, float]:
            measured = sum(row.peak_bytes is not None for row in comparison.rows)
            base = comparison.base
            return measured, (base.peak_bytes or 0.0) if base else 0.0

        return max(self.of_problem(problem), key=weight)

    @cached_property
    def failures(self) -> tuple[Measurement, ...]:
        """Measurements with at least one failed meter."""
        return tuple(m for m in self.run.measurements if m.failed)


def summarize(run: Run, known_methods: tuple[str, ...] = ()) -> Summary:
    """Set the measurements of a run side by side.

    Parameters
    ----------
    run : Run
        One file of results.
    known_methods : tuple of str
        Methods of the whole report, so that each looks the same everywhere; default, the run's.

    Returns
    -------
    Summary
        Its comparisons, ordered by problem, tableau, size and steps.
    """
    # Cells of a GPU run that are CPU only have no GPU memory: they are shown without.
    has_gpu = any(m.value("peak_gpu_bytes") for m in run.measurements)
    memory_meter = "peak_gpu_bytes" if has_gpu else "peak_cpu_bytes"
    groups: dict[Configuration, list[Measurement]] = {}
    for measurement in run.measurements:
        groups.setdefault(measurement.case.configuration, []).append(measurement)
    methods = known_methods or tuple(sorted({m.case.method for m in run.measurements}))
    comparisons = [_compare(work, group, memory_meter, methods) for work, group in groups.items()]
    comparisons.sort(key=lambda item: _configuration_order(item.configuration))
    return Summary(run, memory_meter, tuple(comparisons), methods)


def _compare(
    work: Configuration, group: list[Measurement], memory_meter: str, methods: tuple[str, ...]
) -> Comparison:
    base = next((m for m in group if m.case.method == BASE_METHOD), None)
    base_bytes = base.value(memory_meter) if base else None
    group.sort(key=lambda m: (method_order(m.case.method), checkpoints_order(m.case.checkpoints)))
    return Comparison(
        work,
        tuple(
            Row(m, memory_meter, base_bytes, method_label(m.case.method, methods)) for m in group
        ),
    )


def _configuration_order(work: Configuration) -> tuple[object, ...]:
    return (
        problem_order(work.problem),
        tableau_order(work.tableau),
        size_order(work.size),
        natural_order(work.steps),
    )
