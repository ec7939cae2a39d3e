"""How a problem's cases become asv benchmarks: one ``track_`` method per meter, made in one place.

The cases of a class are measured together, in ``setup_cache``, because only methods that take
turns in one process can be compared. Every benchmark then only looks its own figure up, so that a
case that failed is one failed cell, and the others are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from typing import Any, ClassVar

from ..cases import CASE_FIELDS, Case
from ..environment import counts_instructions, selected_device
from ..floor import has_floor
from ..measure import Failure, Outcome, measure_cases
from ..measurement import METER_UNITS, applicable_meters
from ..problems import PROBLEMS
from ..sizes import selected_size_set

Parameters = tuple[str | int, ...]
Cache = dict[Parameters, dict[str, float] | str]


class CaseFailedError(RuntimeError):
    """A case could not be measured; the message is the original traceback."""


class CaseSuite:
    """What the asv classes share: ``class Kdv(CaseSuite, problem="kdv")`` has that problem's cases.

    asv runs every combination of the parameters, so a problem whose cases are not all of them
    (tableaus on a fixed grid and adaptive ones, methods with checkpoints to choose and without) is
    split into classes by ``tableaus`` or ``methods``.

    A class whose problem has no cases at the size that is asked for has no benchmarks.

    A class defines its own ``setup_cache``, since asv tells caches apart by the line they are on.
    Classes that inherit one share a cache: so what they measure takes turns.
    """

    cases: ClassVar[tuple[Case, ...]]

    def __init_subclass__(
        cls, problem: str, tableaus: tuple[str, ...] = (), methods: tuple[str, ...] = ()
    ) -> None:
        size_set = selected_size_set()
        cls.cases = tuple(
            case
            for case in size_set.cases(problem)
            if (not tableaus or case.tableau in tableaus)
            and (not methods or case.method in methods)
        )
        if not cls.cases:
            return  # a problem that this size leaves out: nothing for asv to find
        params = _values(cls.cases)
        if math.prod(map(len, params)) != len(cls.cases):
            raise ValueError(
                f"the {len(cls.cases)} cases of {cls.__name__} are not all combinations of "
                f"{params}; split them into classes by their tableaus or methods"
            )
        attributes: dict[str, Any] = {
            "params": params,
            "param_names": list(CASE_FIELDS),
            "version": PROBLEMS[problem].version,
            "timeout": size_set.timeout_seconds,
        }
        meters = applicable_meters(
            on_cuda=selected_device().type == "cuda",
            with_instructions=counts_instructions(),
            with_floor=any(map(has_floor, cls.cases)),
        )
        attributes |= {f"track_{meter}": _lookup(meter, METER_UNITS[meter]) for meter in meters}
        for name, value in attributes.items():
            setattr(cls, name, value)

    def measured_cells(self) -> Cache:
        """Measure the cases of this class."""
        return measured_cells(self.cases)


def measured_cells(cases: tuple[Case, ...]) -> Cache:
    """Measure cases: figures by meter, or the traceback of a case that failed.

    Plain values only, since asv hands them to other processes.
    """
    return {astuple(case): _plain(outcome) for case, outcome in measure_cases(cases).items()}


def _plain(outcome: Outcome) -> dict[str, float] | str:
    if isinstance(outcome, Failure):
        return outcome.traceback
    return {meter: getattr(outcome, meter) for meter in METER_UNITS}


def _values(cases: tuple[Case, ...]) -> list[list[str | int]]:
    """Return each field's values, in the order in which the cases have them."""
    columns = zip(*(astuple(case) for case in cases), strict=True)
    return [list(dict.fromkeys(column)) for column in columns]


def _lookup(meter: str, unit: str) -> Callable[..., float]:
    def look_up(_self: object, cache: Cache, *parameters: str | int) -> float:
        figures = cache[parameters]
        if isinstance(figures, str):
            raise CaseFailedError(figures)
        return figures[meter]

    look_up.__name__ = f"track_{meter}"
    look_up.unit = unit  # type: ignore[attr-defined]  # where asv looks for it
    return look_up
