"""The README's table and picture, from the results alone."""

import math
from pathlib import Path

import pytest

from reports.readme import markdown_table, overview_picture
from tests.reports.invented import Fields, Values, fields, meters, summary_of


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]


def test_the_table_sets_both_methods_against_each_other_one(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv"), "Order": fields("mlp-order")})

    rows = _rows(markdown_table(summary))

    assert len(rows) == 2 + 4
    backprop, adjoint = rows[2], rows[3]
    assert backprop[:4] == [
        "Korteweg-de Vries",
        "torchdiffeq backprop",
        "1.50× (1.44–1.56×)",
        "0.12×",
    ]
    assert backprop[4:6] == ["1.00× (0.96–1.04×)", "0.25×"]
    assert adjoint[2:6] == ["0.75×", "0.25×", "0.50×", "0.50×"]
    assert adjoint[6:] == ["1.0e-7 / 1.0e-7", "1.0e-7 / 1.0e-3"]


def test_failed_and_missing_are_told_apart(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        if named["method"] == "checkpoint-solve":
            return dict.fromkeys(known)
        if named["method"] == "checkpoint-step":
            return dict.fromkeys(known, math.nan) | {"nvjp": 1.0}
        return known

    rows = _rows(markdown_table(summary_of(tmp_path, {"Kdv": fields("kdv")}, values)))

    assert rows[4][2:6] == ["failed"] * 4
    assert rows[5][2:6] == ["-"] * 4


def test_a_name_cannot_end_a_cell(tmp_path: Path) -> None:
    methods = ("symadj", "torchdiffeq-backprop")
    summary = summary_of(tmp_path, {"New": fields("a|b <i>\nc", methods=methods)})

    assert "| a\\|b \\<i> c |" in markdown_table(summary)


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv"), "Other": fields("other")})

    picture = overview_picture(summary)

    assert picture == overview_picture(summary)
    assert "Korteweg-de Vries" in picture
    assert "other" in picture
    assert "torchdiffeq backprop = 1" in picture


def test_a_picture_of_nothing_is_refused(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))})

    with pytest.raises(ValueError, match="no case has both wall_ratio and peak memory"):
        overview_picture(summary)
