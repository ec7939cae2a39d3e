"""Measurements along an axis: tableau, size, steps, checkpoints."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from reports.labels import method_order, tableau_order
from reports.orders import checkpoints_order, natural_order, size_order
from reports.records import Configuration
from reports.summaries import DEFAULT_CHECKPOINTS, Row, Summary

AXES = ("tableau", "size", "steps", "checkpoints")


@dataclass(frozen=True)
class Sweep:
    """Configurations of a problem that differ along one axis.

    Attributes
    ----------
    problem : str
        The problem.
    axis : str
        One of `AXES`.
    values : tuple of int or str
        Positions along the axis, in order.
    rows : tuple of (position, Row)
        Every measurement with its position, in order.
    levels : tuple of Row
        Methods that the axis does not concern: on the axis of checkpoints, those without a choice.
    """

    problem: str
    axis: str
    values: tuple[int | str, ...]
    rows: tuple[tuple[int | str, Row], ...]
    levels: tuple[Row, ...] = ()

    @property
    def fixed(self) -> Configuration:
        """Configuration of the first row: what stays the same along the axis, and one value."""
        return self.rows[0][1].measurement.case.configuration


_AXIS_ORDER: dict[str, Callable[[int | str], tuple[object, ...]]] = {
    "tableau": lambda value: tableau_order(str(value)),
    "size": lambda value: size_order(str(value)),
    "steps": natural_order,
    "checkpoints": checkpoints_order,
}


def sweeps(summary: Summary, axis: str) -> tuple[Sweep, ...]:
    """Every set of measurements that differ along one axis alone.

    Found from the measurements, not from the problems' names, so that a new problem with several
    sizes shows up by itself. One exception: a tableau without an error estimate runs on a fixed
    grid, so where each tableau was run with one kind of steps, the steps may differ between them.

    Parameters
    ----------
    summary : Summary
        Comparisons of one run.
    axis : {"tableau", "size", "steps", "checkpoints"}
        The axis.
    """
    steps_of: dict[tuple[str, str, str], set[int | str]] = {}
    for comparison in summary.comparisons:
        work = comparison.configuration
        steps_of.setdefault((work.problem, work.size, work.tableau), set()).add(work.steps)
    several = {(problem, size) for (problem, size, _), steps in steps_of.items() if len(steps) > 1}
    groups: dict[tuple[object, ...], list[Row]] = {}
    for comparison in summary.comparisons:
        work = comparison.configuration
        has_one = (work.problem, work.size) not in several
        ignored = {"tableau", "steps"} if axis == "tableau" and has_one else {axis}
        key = tuple(
            getattr(work, name)
            for name in ("problem", "tableau", "size", "steps")
            if name not in ignored
        )
        groups.setdefault(key, []).extend(comparison.rows)
    return tuple(sweep for rows in groups.values() if (sweep := _sweep(rows, axis)) is not None)


def _position(row: Row, axis: str) -> int | str:
    case = row.measurement.case
    return case.checkpoints if axis == "checkpoints" else getattr(case.configuration, axis)


def _sweep(rows: Iterable[Row], axis: str) -> Sweep | None:
    on_axis: list[tuple[int | str, Row]] = []
    levels: list[Row] = []
    for row in rows:
        position = _position(row, axis)
        if axis == "steps" and not isinstance(position, int):
            continue  # "adaptive" is no number of steps
        if axis == "checkpoints" and position == DEFAULT_CHECKPOINTS:
            levels.append(row)
        else:
            on_axis.append((position, row))
    order = _AXIS_ORDER[axis]
    values = sorted({position for position, _ in on_axis}, key=order)
    if len(values) < 2:
        return None
    on_axis.sort(key=lambda item: (values.index(item[0]), method_order(item[1].method)))
    problem = on_axis[0][1].measurement.case.configuration.problem
    return Sweep(problem, axis, tuple(values), tuple(on_axis), tuple(levels))
