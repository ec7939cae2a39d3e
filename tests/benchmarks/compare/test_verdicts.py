"""What is said of a comparison, and with which exit status."""

import numpy as np
import pytest

from benchmarks.compare.accepted import Accepted
from benchmarks.compare.verdicts import Status, exit_status, judge

from .invented import LIMITS, WORK, counted, exact, journal, rounds, timed


def rows_of(records, accepted=(), **header):
    return {row.metric: row for row in judge(journal(records, **header), LIMITS, accepted)}


def status_of(records, **header):
    return exit_status(list(rows_of(records, **header).values()))


def test_equal_figures_are_no_change():
    values = {"nfe_forward": 5.0, "peak_cpu_bytes": 1e6, "num_replayed_steps": None}
    rows = rows_of(exact(values, values))
    assert {metric: row.status for metric, row in rows.items()} == {
        "nfe_forward": Status.SAME,
        "peak_cpu_bytes": Status.SAME,
    }
    assert exit_status(list(rows.values())) == 0


@pytest.mark.parametrize(
    ("metric", "base", "head"),
    [
        ("nfe_forward", 40.0, 41.0),
        ("num_host_syncs", 20.0, 21.0),
        ("peak_saved_bytes", 1e6, 1e6 + 4),
        ("peak_cpu_bytes", 1e6, 1.02e6),
        ("relative_step_gradient_error", 1e-15, 1e-14),
    ],
)
def test_one_figure_worse_is_a_regression_and_the_reverse_is_none(metric, base, head):
    assert status_of(exact({metric: base}, {metric: head})) == 1
    rows = rows_of(exact({metric: head}, {metric: base}))
    assert rows[metric].status is Status.BETTER
    assert exit_status(list(rows.values())) == 0


def test_a_case_that_the_head_breaks_is_a_regression():
    rows = rows_of(exact({"nfe_forward": 1.0}, "Traceback\nValueError: planted"))
    assert rows[""].status is Status.BROKEN
    assert "ValueError: planted" in rows[""].note
    assert exit_status(list(rows.values())) == 1


def test_a_case_that_the_base_lacks_is_said_and_the_rest_compared():
    other = "another"
    records = exact("ValueError: no such method", {"nfe_forward": 1.0}) + exact(
        {"nfe_forward": 1.0}, {"nfe_forward": 1.0}, work=other
    )
    rows = judge(journal(records, works=(WORK, other)), LIMITS, ())
    assert [row.status for row in rows] == [Status.SAME, Status.SAME]
    assert "fails on the base: ValueError: no such method" in rows[0].note
    assert exit_status(rows) == 0


def test_a_case_that_fails_on_both_sides_could_not_be_measured():
    assert status_of(exact("ImportError: x", "ImportError: x")) == 2


def test_no_measure_of_time_is_not_called_none_worse():
    values = {"nfe_forward": 1.0}
    assert status_of(exact(values, values), timed=[WORK]) == 2
    assert status_of(exact(values, values), timed=[WORK], counted=[WORK]) == 2
    assert status_of(exact(values, values) + counted(1e6, 1e6), timed=[WORK], counted=[WORK]) == 0


def test_nothing_measured_is_no_verdict():
    assert exit_status([]) == 2
    assert status_of([]) == 2


def test_one_count_of_instructions_decides():
    assert status_of(counted(1e6, 1.004e6) + exact({}, {})) == 0
    assert status_of(counted(1e6, 1.006e6) + exact({}, {})) == 1


def test_misses_of_the_cache_count_where_instructions_are_the_same():
    rows = rows_of(counted(1e6, 1e6, head_misses=1e3) + exact({}, {}))
    assert rows["instructions"].status is Status.SAME
    assert rows["estimated_cycles"].status is Status.WORSE


def test_counts_that_lack_an_event_are_not_compared():
    records = counted(1e6, 1e6) + exact({}, {})
    del records[0]["values"]["D1mr"]
    assert "instructions" not in rows_of(records)


def test_a_sleep_is_found_by_the_time_off_the_processor():
    made = rounds(1.0, np.random.default_rng(0), noise=0.2, blocked=0.03)
    rows = rows_of(exact({}, {}) + timed(made))
    assert rows["blocked_share"].status is Status.WORSE


def test_seconds_need_a_second_measurement_that_agrees():
    generator = np.random.default_rng(0)
    slow, again, same = (
        timed(rounds(ratio, generator), attempt)
        for ratio, attempt in ((1.1, 1), (1.1, 2), (1.0, 2))
    )
    assert rows_of(exact({}, {}) + slow + again)["own_seconds"].status is Status.WORSE
    assert rows_of(exact({}, {}) + slow + same)["own_seconds"].status is Status.SAME


def test_foreign_rounds_are_passed_over():
    odd = [
        {"kind": "round", "work": WORK, "try": 1, "launch": 1, "blocks": blocks}
        for blocks in ([], "text", [[1, 2]], [[1.0, "x", 0.0]] * 6, None)
    ]
    assert "own_seconds" not in rows_of(exact({}, {}) + odd)


def test_an_accepted_regression_is_shown_with_its_reason_and_fails_nobody():
    entry = Accepted("nfe_forward", "mlp-steps/rk4", 1.1, "one more, for the end slope")
    records = exact({"nfe_forward": 40.0}, {"nfe_forward": 41.0})
    row = rows_of(records, [entry])["nfe_forward"]
    assert row.status is Status.ACCEPTED
    assert "one more, for the end slope" in row.note
    beyond = exact({"nfe_forward": 40.0}, {"nfe_forward": 50.0})
    assert rows_of(beyond, [entry])["nfe_forward"].status is Status.WORSE
