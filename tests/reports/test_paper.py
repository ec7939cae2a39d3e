"""The paper's claims beside the measurements: ratios, growth, work."""

import math
from pathlib import Path

import pytest

from reports.finding import GAIN, NOTE
from reports.paper import claims, cost_table
from tests.reports.invented import RATIOS, Fields, Values, fields, meters, summary_of


def test_each_claim_has_its_ratios_and_is_not_called_held_where_it_is_not(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        if named["problem"] == "other":
            return {**known, "wall_ratio": 5.0 if named["method"] == "symadj" else 1.0}
        return known

    summary = summary_of(tmp_path, {"Kdv": fields("kdv"), "Other": fields("other")}, values)

    memory, time, error = claims(summary)

    assert memory.found.kind == GAIN
    assert "Holds in 6 of 6" in memory.found.text
    assert [c.text for c in memory.numbers.rows[0][:3]] == [
        "Korteweg-de Vries",
        "computed",
        "0.12×",
    ]
    assert memory.numbers.rows[1][1].text == "not told"
    assert time.found.kind == NOTE
    assert "Holds in 1 of 2" in time.found.text
    quotient = RATIOS["symadj"][0] / RATIOS["torchdiffeq-adjoint"][0]
    assert time.numbers.rows[0][2].value == pytest.approx(quotient)
    assert error.found.kind == GAIN


def test_what_was_not_measured_is_not_claimed(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))})
    assert {claim.found.text for claim in claims(summary)} == {"Not measured in this run."}


def test_growth_and_work_stand_beside_the_orders_of_the_paper(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        power = 0.5 if named["method"] == "symadj" else 1.0
        return {**meters(named), "peak_cpu_bytes": 1000.0 * math.pow(int(named["steps"]), power)}

    table = cost_table(summary_of(tmp_path, {"S": fields("mlp-steps", steps=(10, 40))}, values))

    labels = [column.label for column in table.columns]
    rows = {row[0].text: dict(zip(labels, row, strict=True)) for row in table.rows}
    growth = "Memory grows with N to the power (here)"
    assert rows["symadj"][growth].text == "0.50"
    assert rows["torchdiffeq backprop"][growth].text == "1.00"
    assert rows["symadj"]["Work / N s (here)"].text == "4.00"
    assert rows["torchdiffeq adjoint"]["Largest error, same steps (here)"].text == "1.0e-3"
