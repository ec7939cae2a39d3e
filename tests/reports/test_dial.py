"""The curve of the settings, and where a method stands against it."""

import math
from pathlib import Path

import pytest

from reports.dial import FASTER, LIGHTER, OVER, UNDECIDED, UNDER, Dial, dials
from reports.dial_findings import dial_findings, dial_verdict
from reports.finding import GAIN, LOSS, NOTE
from tests.reports.invented import (
    METHODS,
    SETTINGS,
    Fields,
    Values,
    dial_classes,
    fields,
    left_out,
    meters,
    summary_of,
)

PEER = "checkpoint-step"


def dial_with(
    folder: Path, time: float, memory: float, spread: float = 0.0, **changes: float
) -> Dial:
    """Make a dial beside which one exact method stands at this place."""

    def values(named: Fields) -> Values:
        known = dict(meters(named))
        if named["method"] == PEER:
            base = meters({**named, "method": "torchdiffeq-backprop"})["peak_cpu_bytes"]
            known |= {
                "wall_ratio": time,
                "wall_ratio_low": time * (1 - spread),
                "wall_ratio_high": time * (1 + spread),
                "peak_cpu_bytes": memory * (base or 0.0),
            }
        return known | changes

    (dial,) = dials(summary_of(folder, dial_classes(), values))
    return dial


def standing(dial: Dial) -> str:
    (row,) = (row for row in dial.others if row.method == PEER)
    return dial.standing(row)


@pytest.mark.parametrize(
    ("time", "memory", "expected"),
    [
        (1.35, 0.1, UNDER),  # between two settings
        (1.35, 0.5, OVER),
        (0.9, 0.2, UNDER),  # beats the fastest setting in both
        (0.9, 0.5, FASTER),
        (9.0, 0.01, LIGHTER),
        (9.0, 0.5, OVER),
        (1.25, 0.1875, UNDECIDED),  # on a setting, whose time is known to 4 %
    ],
)
def test_where_a_method_stands(tmp_path: Path, time: float, memory: float, expected: str) -> None:
    assert standing(dial_with(tmp_path, time, memory)) == expected


def test_what_the_intervals_leave_open_is_not_claimed(tmp_path: Path) -> None:
    near = (1.38, 0.15)  # next to the line from "states" to "graphs"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert standing(dial_with(tmp_path / "a", *near, spread=0.2)) == UNDECIDED
    dial = dial_with(tmp_path / "b", 1.1, 0.05, spread=0.2)
    assert standing(dial) == UNDER, "so far under that the intervals do not matter"


def test_the_curve_is_the_settings_that_none_beats_from_the_fastest_on(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return known | {"wall_ratio": 5.0} if named["checkpoints"] == "graphs" else known

    (dial,) = dials(summary_of(tmp_path, dial_classes(), values))

    assert [row.measurement.case.checkpoints for row in dial.curve] == [
        "stages",
        "states",
        16,
        4,
        1,
    ]
    assert [row.measurement.case.checkpoints for row in dial.beaten] == ["graphs"]
    assert [row.method for row in dial.judged] == [m for m in METHODS[2:] if "adjoint" not in m]


def test_a_setting_that_was_not_run_is_not_on_the_curve(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return left_out(named) if named["checkpoints"] == 1 else meters(named)

    (dial,) = dials(summary_of(tmp_path, dial_classes(), values))

    assert [row.measurement.case.checkpoints for row in dial.settings] == list(SETTINGS)
    assert 1 not in [row.measurement.case.checkpoints for row in (*dial.curve, *dial.beaten)]
    assert dial.is_relative


def test_without_a_base_the_dial_is_absolute(tmp_path: Path) -> None:
    (dial,) = dials(summary_of(tmp_path, dial_classes(methods=(PEER,))))

    assert not dial.is_relative
    row = dial.curve[0]
    assert dial.time(row) == row.seconds
    assert dial.memory(row) == row.peak_bytes
    assert standing(dial) == OVER


def test_one_setting_makes_no_dial(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return known if named["checkpoints"] in {"stages", "default"} else dict.fromkeys(known)

    assert dials(summary_of(tmp_path, dial_classes(), values)) == ()


def test_the_verdict_is_computed_whichever_way_it_comes_out(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
    over = dial_verdict(dial_with(tmp_path / "a", 1.35, 0.5))
    under = dial_verdict(dial_with(tmp_path / "b", 1.35, 0.1))
    open_ = dial_verdict(dial_with(tmp_path / "c", 1.38, 0.15, spread=0.2))
    summary = summary_of(tmp_path / "d", dial_classes(methods=("torchdiffeq-adjoint",)))
    alone = dial_verdict(dials(summary)[0])

    assert (over.kind, under.kind, open_.kind, alone.kind) == (GAIN, LOSS, NOTE, NOTE)
    assert over.text == "No other exact method lies under the curve of symadj's settings."
    assert under.text.startswith("checkpoint per step (ACA) lies under the curve")
    assert "cannot be told" in open_.text
    assert "No other exact method was measured" in alone.text


def test_every_method_is_told_of_by_its_numbers(tmp_path: Path) -> None:
    found = dial_findings(dial_with(tmp_path, 1.35, 0.1))

    text = " ".join(finding.text for finding in found)
    assert (
        "checkpoint per step (ACA), under the curve: 1.35× the time and 0.10× the memory (nearest "
        "in time, symadj [graphs]: 1.25× the time and 0.19× the memory; symadj [states]: 1.50× the "
        "time and 0.12× the memory)." in text
    )
    assert "Over the curve: torchdiffeq backprop and checkpoint per solve." in text
    assert "Not judged, as not known to be exact: torchdiffeq adjoint." in text


def test_settings_of_other_problems_are_dials_too(tmp_path: Path) -> None:
    classes = {"New": fields("new", methods=("symadj",), checkpoints=("states", "stages"))}

    (dial,) = dials(summary_of(tmp_path, classes))

    assert dial.others == ()
    assert not math.isnan(dial.memory(dial.curve[0]) or math.nan)
