"""Which runs are shown, and that runs never mix."""

from pathlib import Path

from reports.loaders import load
from reports.records import Commit
from reports.selection import select
from tests.reports.invented import DATE, case, fields, write_asv, write_pytest_benchmark

KDV = {"Kdv": fields("kdv")}


def test_the_newest_commit_of_each_machine(tmp_path: Path) -> None:
    write_asv(tmp_path, KDV, machine="one", commit="a" * 40, date=DATE)
    write_asv(tmp_path, KDV, machine="one", commit="0" * 40, date=DATE + 1)
    write_asv(tmp_path, KDV, machine="one", commit="f" * 40, date=DATE - 1)
    write_asv(tmp_path, KDV, machine="two", commit="b" * 40, date=DATE - 9)

    one, two = select(load([tmp_path], []).runs)

    assert one.run.commit == "0" * 40
    assert [run.commit[0] for run in one.others] == ["a", "f"]
    assert (two.run.environment.machine, two.run.commit[0]) == ("two", "b")


def test_git_orders_commits_of_the_same_second_and_of_clocks_that_differ(tmp_path: Path) -> None:
    """As in a series that was rebased."""
    dates = {"c": DATE, "a": DATE, "b": DATE - 9, "f": DATE + 1}
    for name, date in dates.items():
        write_asv(tmp_path, KDV, commit=name * 40, date=date)
    commits = {name * 40: Commit("x", place=place) for place, name in enumerate("cab", start=1)}

    (shown,) = select(load([tmp_path], []).runs, commits)

    assert [run.commit[0] for run in (shown.run, *shown.others)] == ["f", "b", "a", "c"]


def test_a_later_part_does_not_take_the_place_of_the_whole(tmp_path: Path) -> None:
    write_asv(tmp_path, KDV, commit="a" * 40, date=DATE)
    part = {"Kdv": fields("kdv", methods=("symadj",))}
    write_asv(tmp_path, part, commit="b" * 40, date=DATE + 1)

    (shown,) = select(load([tmp_path], []).runs)

    assert (shown.run.commit[0], shown.others[0].commit[0]) == ("a", "b")


def test_folders_keep_their_order_and_asv_comes_first(tmp_path: Path) -> None:
    write_asv(tmp_path / "reference", KDV, machine="a-reference")
    write_asv(tmp_path / "own", KDV, machine="own")
    file = write_pytest_benchmark(tmp_path / "run.json", [case()])

    shown = select(load([tmp_path / "own", tmp_path / "reference"], [file]).runs)

    names = [(item.run.environment.machine, item.run.tool) for item in shown]
    assert names == [
        ("own", "asv"),
        ("a-reference", "asv"),
        ("invented", "pytest-benchmark"),
    ]


def test_a_run_without_measurements_is_passed_over(tmp_path: Path) -> None:
    write_asv(tmp_path, KDV, commit="a" * 40)
    write_asv(tmp_path, {}, commit="b" * 40, date=DATE + 1)

    (shown,) = select(load([tmp_path], []).runs)

    assert shown.run.commit == "a" * 40
