"""Tables show every measurement, failed and missing ones too; the CSV is unrounded."""

import csv
import io
import math
from pathlib import Path

from reports.dial import dials
from reports.drawings import ratio_scatter
from reports.tables import (
    dial_table,
    matrix_table,
    measurement_table,
    measurements_csv,
)
from tests.reports.invented import (
    SETTINGS,
    Fields,
    Values,
    dial_classes,
    fields,
    left_out,
    meters,
    summary_of,
)


def _values(named: Fields) -> Values:
    known = meters(named)
    if named["method"] == "checkpoint-solve":
        return dict.fromkeys(known)
    return known | {"cache_misses": 12_345.0}


def _values_with_other(named: Fields) -> Values:
    return {**dict.fromkeys(_values({**named, "method": "symadj"})), **_values(named)}


def test_every_measurement_is_a_row(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, _values_with_other)

    table = measurement_table(summary, summary.comparisons, with_problem=True)

    labels = [column.label for column in table.columns]
    assert len(table.rows) == 6
    assert all(len(row) == len(labels) for row in table.rows)
    first = dict(zip(labels, table.rows[0], strict=True))
    assert (first["Method"].text, first["Problem"].text) == ("symadj", "Korteweg-de Vries")
    assert (first["Memory / backprop"].text, first["Time / backprop"].text) == ("0.12×", "1.50×")
    assert first["Time / backprop"].detail == "1.44–1.56×"
    assert first["Cache misses"].value == 12_345.0, "a meter that is not known has a column"
    failed = dict(zip(labels, table.rows[4], strict=True))
    assert (failed["Wall time"].text, failed["Wall time"].kind) == ("failed", "failed")
    assert "Peak memory (GPU)" not in labels or first["Peak memory (GPU)"].text == "-"


def test_a_meter_that_was_never_measured_is_named_below(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})

    table = measurement_table(summary, summary.comparisons, with_problem=False)

    assert "Peak memory (GPU)" not in [column.label for column in table.columns]
    assert table.note == "Not measured in this run: Peak memory (GPU)."


def test_the_matrix_has_memory_and_below_it_time(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, _values_with_other)

    (row,) = matrix_table(summary, {"kdv": "page.html"}).rows

    assert (row[0].text, row[0].href) == ("Korteweg-de Vries", "page.html")
    assert (row[2].text, row[2].detail) == ("0.12×", "time 1.50×")
    assert (row[6].text, row[6].kind) == ("failed", "failed")


def test_a_time_without_an_interval_says_that_it_is_one_sample(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return {**known, "wall_seconds_q25": known["wall_seconds"], "wall_seconds_q75": None}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)

    table = measurement_table(summary, summary.comparisons, with_problem=False)

    labels = [column.label for column in table.columns]
    assert {row[labels.index("Wall time")].detail for row in table.rows} == {"one sample"}


def test_the_table_of_the_dial_has_every_setting_and_where_the_others_stand(
    tmp_path: Path,
) -> None:
    def values(named: Fields) -> Values:
        return left_out(named) if named["checkpoints"] == 1 else meters(named)

    (dial,) = dials(summary_of(tmp_path, dial_classes(), values))

    table = dial_table(dial)

    labels = [column.label for column in table.columns]
    rows = {row[0].text: dict(zip(labels, row, strict=True)) for row in table.rows}
    assert [rows[f"symadj [{kept}]"]["The curve"].text for kept in SETTINGS] == [
        "not run",
        *["on it"] * 5,
    ]
    assert rows["symadj [1]"]["Wall time"].text == "not run"
    assert rows["symadj [1]"]["Steps replayed"].value == 12_497_500
    assert "there is time for: symadj [1]." in table.note
    assert rows["symadj [16]"]["Steps replayed"].text == "34"
    assert rows["torchdiffeq adjoint"]["The curve"].text == "not judged"
    assert rows["checkpoint per step (ACA)"]["The curve"].text == "over it"


def test_the_csv_is_unrounded(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, _values_with_other)

    rows = list(csv.DictReader(io.StringIO(measurements_csv(summary.run))))

    assert len(rows) == 6
    wall = summary.run.measurements[0].value("wall_seconds")
    assert float(rows[0]["wall_seconds [s]"]) == wall
    assert rows[0]["peak_gpu_bytes [B]"] == ""
    assert rows[4]["wall_seconds [s]"] == "failed"
    assert float(rows[0]["cache_misses [1]"]) == 12_345.0


def test_why_a_figure_is_missing_stands_in_its_place(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = {**meters(named), "outcome": math.nan}
        if named["method"] == "checkpoint-solve":
            return dict.fromkeys(known, math.nan) | {"outcome": 1.0}
        if named["method"] == "checkpoint-step":
            ratios = ("wall_ratio", "wall_ratio_low", "wall_ratio_high")
            return known | dict.fromkeys(ratios, math.nan) | {"outcome": 5.0}
        return known

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)

    table = measurement_table(summary, summary.comparisons, with_problem=False)

    labels = [column.label for column in table.columns]
    assert "Outcome" not in labels
    absent = dict(zip(labels, table.rows[4], strict=True))
    unequal = dict(zip(labels, table.rows[5], strict=True))
    assert absent["Wall time"].text == "not installed"
    assert unequal["Time / backprop"].text == "unequal work"
    assert unequal["Wall time"].value is not None
    rows = list(csv.DictReader(io.StringIO(measurements_csv(summary.run))))
    assert [row["outcome [1]"] for row in rows[4:]] == ["1.0", "5.0"]
    caption = ratio_scatter(summary, summary.comparisons[0]).caption  # type: ignore[union-attr]
    assert (
        "checkpoint per solve (not installed), checkpoint per step (ACA) (unequal work)" in caption
    )
