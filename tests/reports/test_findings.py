"""Sentences say what the measurements say, losses included."""

import math
from pathlib import Path

from reports.findings import GAIN, LOSS, findings, verdict
from tests.reports.invented import (
    Fields,
    Values,
    dial_classes,
    fields,
    meters,
    summary_of,
)


def _texts(found: list, kind: str) -> str:
    return " ".join(finding.text for finding in found if finding.kind == kind)


def test_the_verdict_is_computed(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})

    assert verdict(summary) == (
        "Against torchdiffeq backprop, in the median over everything measured here, symadj takes "
        "0.12× of the memory and 1.50× of the time; symadj (stages kept) takes 0.25× of the memory "
        "and 1.00× of the time."
    )


def test_a_slower_method_is_said_to_be_slower_beyond_doubt_only(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv")})

    losses = _texts(findings(summary), LOSS)

    assert "symadj is slower than backprop on Korteweg-de Vries (1.50× at most)." in losses
    assert "(stages kept) is slower" not in losses


def test_a_loss_of_memory_is_told(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return known | {"peak_cpu_bytes": 3e6 if named["method"].startswith("symadj") else 1e6}

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)
    found = findings(summary)

    losses = _texts(found, LOSS)
    assert "symadj needs more memory than backprop on Korteweg-de Vries (3.00× at most)." in losses
    assert "the least memory in 0 of 1 configuration" in losses
    assert "needs up to 3.00× as much" in losses
    assert "of the peak memory" not in _texts(found, GAIN)


def test_failures_are_counted(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return dict.fromkeys(known) if named["method"] == "checkpoint-solve" else known

    summary = summary_of(tmp_path, {"Kdv": fields("kdv")}, values)

    assert "1 case of 6 failed" in _texts(findings(summary), LOSS)


def test_the_settings_of_the_dial_do_not_count_in_what_symadj_costs(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, dial_classes())

    assert "symadj takes 0.12× of the memory and 1.50× of the time." in verdict(summary)
    assert "(1 configuration of 1 problem)" in " ".join(f.text for f in findings(summary))


def test_the_overview_says_whether_anything_lies_under_a_curve(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, dial_classes(steps=(50, 500)))

    gains = _texts(findings(summary), GAIN)

    for steps in (50, 500):
        assert f"over checkpoints, {steps} steps: No other exact method lies under" in gains


def test_without_a_base_nothing_is_claimed(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, {"Kdv": fields("kdv", methods=("checkpoint-step",))})

    assert "not both measured" in verdict(summary)
    assert [finding.kind for finding in findings(summary)] == ["note"]


def test_single_samples_are_called_so(tmp_path: Path) -> None:
    def once(named: Fields) -> Values:
        known = meters(named)
        return {**known, "wall_ratio_low": known["wall_ratio"], "wall_ratio_high": math.nan}

    texts = [item.text for item in findings(summary_of(tmp_path, {"Kdv": fields("kdv")}, once))]

    assert any(text.startswith("5 of 5 time ratios are single samples") for text in texts)
