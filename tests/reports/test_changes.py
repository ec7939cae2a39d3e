"""What counts as a change, where a series steps, and what a run is compared with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reports.changes import LESS, MORE, SAME, UNDECIDED, broken, changes, judge, previous, tracks
from reports.loaders import load_asv
from reports.records import Case, Commit, Configuration, Measurement, Run
from reports.selection import select
from tests.reports.invented import (
    DATE,
    Fields,
    Values,
    fields,
    meters,
    write_asv,
    write_history,
    write_provenance,
)

COMMITS = tuple(f"{number:x}" * 40 for number in range(1, 7))
ONE = {"Kdv": fields("kdv", methods=("symadj", "torchdiffeq-backprop"))}


def _measured(**values: float) -> Measurement:
    case = Case(Configuration("kdv", "dopri5", "8-8 batch 2", 10), "symadj", "default")
    return Measurement(case, values)


def _runs(folder: Path, *makers: Callable[[Fields], Values]) -> tuple[Run, ...]:
    for number, values in enumerate(makers):
        commit, date = COMMITS[number], DATE + number
        write_asv(folder, ONE, commit=commit, date=date, values=values)
    return load_asv(folder).runs


@pytest.mark.parametrize(
    ("meter", "old", "new", "verdict"),
    [
        ("nfe_backward", 120, 120, SAME),
        ("nfe_backward", 120, 121, MORE),
        ("nfe_backward", 0, 1, MORE),
        ("nfe_backward", 120, 119, LESS),
        ("peak_cpu_bytes", 1_000_000, 1_010_000, SAME),
        ("peak_cpu_bytes", 1_000_000, 1_011_000, MORE),
        ("relative_step_gradient_error", 1e-7, 3e-7, SAME),
        ("relative_step_gradient_error", 1e-7, 4e-7, MORE),
    ],
)
def test_counts_change_by_any_difference_the_rest_by_more_than_a_margin(
    meter: str, old: float, new: float, verdict: str
) -> None:
    assert judge(meter, _measured(**{meter: old}), _measured(**{meter: new})) == verdict


@pytest.mark.parametrize(
    ("new", "low", "high", "verdict"),
    [
        (1.04, 1.039, 1.041, SAME),  # apart, but by less than anybody minds
        (1.2, 1.15, 1.25, MORE),
        (0.8, 0.75, 0.85, LESS),
        (1.2, 1.01, 1.4, UNDECIDED),  # the intervals overlap
        (1.2, 1.2, 1.2, UNDECIDED),  # a single sample tells nothing
    ],
)
def test_times_change_if_their_intervals_lie_apart(
    new: float, low: float, high: float, verdict: str
) -> None:
    before = _measured(wall_ratio=1.0, wall_ratio_low=0.98, wall_ratio_high=1.02)
    after = _measured(wall_ratio=new, wall_ratio_low=low, wall_ratio_high=high)
    assert judge("wall_ratio", before, after) == verdict


def test_changes_are_those_of_cases_that_both_runs_have(tmp_path: Path) -> None:
    def slower(named: Fields) -> Values:
        known = dict(meters(named))
        if named["method"] == "symadj":
            for name in ("wall_ratio", "wall_ratio_low", "wall_ratio_high", "wall_seconds"):
                known[name] = 1.5 * (known[name] or 0)
        return known

    before, after = _runs(tmp_path, meters, slower)

    moved = [item for item in changes(before, after) if item.verdict != SAME]
    assert [(item.meter, item.verdict, item.case.method) for item in moved] == [
        ("wall_ratio", MORE, "symadj")
    ], "seconds of two runs are never judged"
    assert moved[0].ratio == pytest.approx(1.5)


def test_new_failures_are_told_and_old_ones_are_not(tmp_path: Path) -> None:
    def failing(named: Fields) -> Values:
        return dict.fromkeys(meters(named)) if named["method"] == "symadj" else meters(named)

    good, bad = _runs(tmp_path, meters, failing)

    assert [item.case.method for item in broken(good, bad)] == ["symadj"]
    assert broken(bad, bad) == ()


def test_a_planted_step_is_found_where_it_is(tmp_path: Path) -> None:
    write_history(tmp_path, COMMITS, ONE)

    found = {(t.case.method, t.meter): t for t in tracks(load_asv(tmp_path).runs)}

    assert found["symadj", "wall_ratio"].steps == (3,)  # three fifths of six
    assert found["symadj", "nfe_backward"].steps == (5,)
    assert found["symadj", "peak_cpu_bytes"].steps == ()
    assert found["torchdiffeq-backprop", "nfe_backward"].steps == ()


def test_a_slow_drift_is_a_step_in_the_end(tmp_path: Path) -> None:
    def drifting(number: int) -> Callable[[Fields], Values]:
        return lambda named: {**meters(named), "peak_cpu_bytes": 1e6 * (1 + 0.003 * number)}

    runs = _runs(tmp_path, *(drifting(number) for number in range(5)))

    (track, *_) = (t for t in tracks(runs) if t.meter == "peak_cpu_bytes")
    assert track.steps == (4,)


def test_a_run_is_compared_with_the_release_else_the_version_else_the_commit_before(
    tmp_path: Path,
) -> None:
    for number, version in enumerate(("0.1", "0.2", "0.2")):
        file = write_asv(tmp_path, ONE, commit=COMMITS[number], date=DATE + number)
        write_provenance(file, packages={"symadj": version})
    (shown,) = select(load_asv(tmp_path).runs)

    def compared(commits: dict[str, Commit]) -> tuple[str, str] | None:
        found = previous(shown.run, shown.others, commits)
        return found and (found.run.commit[0], found.name)

    assert compared({}) == ("1", "version 0.1")
    assert compared({COMMITS[1]: Commit("x", ("v1",))}) == ("2", "release v1")
    assert previous(shown.run, shown.others[:1], {}).name.startswith("commit 22222222")  # type: ignore[union-attr]
    assert previous(shown.run, (), {}) is None
