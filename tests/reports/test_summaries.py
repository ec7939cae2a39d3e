"""Ratios and comparisons."""

import math
from pathlib import Path

import pytest

from reports.summaries import Estimate
from tests.reports.invented import METHODS, RATIOS, Fields, Values, fields, meters, summary_of


def test_ratios_are_to_backprop_of_the_same_configuration(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", tableaus=("bosh3", "dopri5"))})

    assert len(summary.comparisons) == 2
    for comparison in summary.comparisons:
        for row in comparison.rows:
            time, memory = RATIOS[row.method]
            assert row.memory_ratio == pytest.approx(memory, rel=1e-12)
            assert row.time_ratio == Estimate(time, time * 0.96, time * 1.04)


def test_without_the_base_there_is_no_ratio_of_memory(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj", "checkpoint-step"))})

    assert [row.memory_ratio for row in summary.comparisons[0].rows] == [None, None]


def test_no_ratio_is_made_of_two_times(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return {**meters(named), "wall_ratio": math.nan}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)

    rows = summary.comparisons[0].rows
    assert all(row.seconds is not None for row in rows)
    assert [row.time_ratio for row in rows] == [None] * len(METHODS)


def test_an_interval_of_no_width_is_none(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return {**meters(named), "wall_ratio_low": 1.5, "wall_ratio_high": 1.5}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))}, values)

    assert summary.comparisons[0].rows[0].time_ratio == Estimate(1.5)


def test_memory_is_the_gpus_where_one_was_used(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return {**meters(named), "peak_gpu_bytes": 1000.0 * RATIOS[named["method"]][1]}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)

    assert summary.memory_meter == "peak_gpu_bytes"
    assert summary.comparisons[0].rows[0].peak_bytes == 125.0


def test_methods_and_problems_come_in_their_own_order(tmp_path: Path) -> None:
    methods = ("zeta", *METHODS[::-1])
    summary = summary_of(
        tmp_path,
        {
            "Order": fields("mlp-order", methods=methods),
            "Other": fields("other", methods=methods),
            "Kdv": fields("kdv", methods=methods),
        },
    )

    assert summary.problems == ("kdv", "other", "mlp-order")
    assert summary.work == ("kdv", "other")
    assert summary.methods == (*METHODS, "zeta")
    assert [row.method for row in summary.comparisons[0].rows] == [*METHODS, "zeta"]


def test_problems_of_an_axis_stand_for_work_if_there_is_nothing_else(tmp_path: Path) -> None:
    assert summary_of(tmp_path, {"Order": fields("mlp-order")}).work == ("mlp-order",)


def test_the_headline_is_the_heaviest_of_the_most_complete(tmp_path: Path) -> None:
    sizes = ("8-8 batch 2", "16-16 batch 2", "32-32 batch 2")

    def values(named: Fields) -> Values:
        known = meters(named)
        is_lost = named["size"] == sizes[2] and named["method"] == "symadj"
        return dict.fromkeys(known) if is_lost else known

    summary = summary_of(tmp_path, {"Kdv": fields("kdv", sizes=sizes)}, values)

    assert summary.headline("kdv").configuration.size == sizes[1]
    assert [m.case.method for m in summary.failures] == ["symadj"]


def test_two_unknown_methods_look_different_everywhere(tmp_path: Path) -> None:
    methods = ("torchdiffeq-backprop", "one", "two")
    summary = summary_of(
        tmp_path,
        {"A": fields("a", methods=methods), "B": fields("b", methods=methods[::-1])},
    )

    looks = {(row.method, row.look.style) for c in summary.comparisons for row in c.rows}
    assert len(looks) == 3
    assert len({style for _, style in looks}) == 3
