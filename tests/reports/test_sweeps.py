"""Measurements along an axis, found from the measurements alone."""

import math
from pathlib import Path

import pytest

from reports.sweeps import AXES, sweeps
from tests.reports.invented import Fields, Values, fields, meters, summary_of


@pytest.mark.parametrize(
    ("axis", "parameter", "values", "expected"),
    [
        ("tableau", "tableaus", ("dopri8", "heun2", "dopri5"), ("heun2", "dopri5", "dopri8")),
        ("size", "sizes", ("9-9 batch 2", "10-10 batch 2"), ("9-9 batch 2", "10-10 batch 2")),
        ("steps", "steps", (100, 20, "adaptive"), (20, 100)),
        (
            "checkpoints",
            "checkpoints",
            ("stages", "other", 8, "graphs", "states", 2),
            (2, 8, "states", "graphs", "stages", "other"),
        ),
    ],
)
def test_each_axis_in_its_order(
    tmp_path: Path, axis: str, parameter: str, values: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    summary = summary_of(tmp_path, {"New": fields("new", **{parameter: values})})

    (sweep,) = sweeps(summary, axis)

    assert sweep.values == expected
    assert len(sweep.rows) == 6 * len(expected)
    for other in set(AXES) - {axis}:
        assert sweeps(summary, other) == ()


def test_what_differs_in_anything_else_is_on_another_line(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"New": fields("new", steps=(1, 2), tableaus=("a", "b", "c"))})

    assert [sweep.fixed.tableau for sweep in sweeps(summary, "steps")] == ["a", "b", "c"]
    assert [sweep.fixed.steps for sweep in sweeps(summary, "tableau")] == [1, 2]


def test_a_fixed_grid_stands_beside_adaptive_tableaus(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        is_fixed = named["steps"] != "adaptive"
        return (
            known if is_fixed == (named["tableau"] == "heun2") else dict.fromkeys(known, math.nan)
        )

    parameters = fields("new", tableaus=("heun2", "dopri5"), steps=(40, "adaptive"))
    summary = summary_of(tmp_path, {"New": parameters}, values)

    (sweep,) = sweeps(summary, "tableau")

    steps = {row.measurement.case.configuration.steps for _, row in sweep.rows}
    assert (sweep.values, steps) == (("heun2", "dopri5"), {40, "adaptive"})


def test_methods_without_a_choice_are_levels(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        is_there = (named["method"] == "symadj") == (named["checkpoints"] != "default")
        return known if is_there else dict.fromkeys(known, math.nan)

    parameters = fields("new", checkpoints=("default", "states", "stages"))
    summary = summary_of(tmp_path, {"New": parameters}, values)

    (sweep,) = sweeps(summary, "checkpoints")

    assert {row.method for _, row in sweep.rows} == {"symadj"}
    assert sweep.levels[0].method == "symadj-stages"
    assert len(sweep.levels) == 5
