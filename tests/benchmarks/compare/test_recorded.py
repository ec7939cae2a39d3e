"""Comparing and merging asv's result files, damaged ones among them."""

import json
import random

import pytest

from benchmarks.compare.merge import MergeError, merge_results
from benchmarks.compare.recorded import RecordedError, compare_recorded
from benchmarks.compare.verdicts import Status, exit_status

from .invented import LIMITS

BASE, HEAD = "a" * 40, "b" * 40
PARAMS = [["'kdv'"], ["'symadj'"], ["'dopri8'"], ["'16 points'"], ["'adaptive'"], ["'default'"]]


def result_file(folder, commit, machine="here", **meters):
    name = folder / machine / f"{commit[:8]}-env.json"
    name.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "version": 2,
        "commit_hash": commit,
        "date": 1_700_000_000_000,
        "params": {"machine": machine},
        "result_columns": ["result", "params"],
        "results": {f"suites.K.track_{key}": [[value], PARAMS] for key, value in meters.items()},
    }
    name.write_text(json.dumps(data))
    return name


def compare(*folders):
    rows, notes = compare_recorded(folders, BASE, HEAD, LIMITS)
    return {row.metric: row for row in rows}, notes


def test_exact_meters_are_compared_and_seconds_are_not(tmp_path):
    result_file(tmp_path, BASE, nfe_forward=40, wall_seconds=1.0, peak_cpu_bytes=1e6)
    result_file(tmp_path, HEAD, nfe_forward=41, wall_seconds=9.0, peak_cpu_bytes=1e6)
    rows, _ = compare(tmp_path)
    assert {metric: row.status for metric, row in rows.items()} == {
        "nfe_forward": Status.WORSE,
        "peak_cpu_bytes": Status.SAME,
    }
    assert rows["nfe_forward"].work.startswith("here: kdv/symadj/dopri8")


def test_a_machine_with_one_commit_is_said_and_the_others_compared(tmp_path):
    for commit in (BASE, HEAD):
        result_file(tmp_path, commit, nfe_forward=40)
    result_file(tmp_path, BASE, machine="there", nfe_forward=40)
    rows, notes = compare(tmp_path)
    assert rows["nfe_forward"].status is Status.SAME
    assert any("there" in note and HEAD[:8] in note for note in notes)


def test_a_failed_benchmark_is_broken_and_a_renamed_one_is_said(tmp_path):
    result_file(tmp_path, BASE, nfe_forward=40)
    file = result_file(tmp_path, HEAD, nfe_forward=None)
    rows, _ = compare(tmp_path)
    assert rows[""].status is Status.BROKEN
    renamed = json.loads(file.read_text())
    renamed["results"] = {"suites.K.track_nfe_forward": [[40], [["'new'"], *PARAMS[1:]]]}
    file.write_text(json.dumps(renamed))
    found, _ = compare_recorded([tmp_path], BASE, HEAD, LIMITS)
    assert [row.status for row in found] == [Status.SAME, Status.SAME]
    assert all("renamed, or not run" in row.note for row in found)


def test_a_cut_machine_file_is_named_and_its_results_are_compared(tmp_path):
    for commit in (BASE, HEAD):
        result_file(tmp_path, commit, nfe_forward=40)
    machine = tmp_path / "here" / "machine.json"
    whole = json.dumps({"machine": "here", "cpu": "a processor", "num_cpu": "2", "version": 1})
    machine.write_text(whole)
    assert compare(tmp_path)[1] == []
    for cut in range(len(whole)):
        machine.write_text(whole[:cut])
        rows, notes = compare(tmp_path)
        assert rows["nfe_forward"].status is Status.SAME
        (note,) = notes
        assert str(machine) in note


def test_nothing_in_common_is_no_verdict(tmp_path):
    result_file(tmp_path, BASE, nfe_forward=40)
    with pytest.raises(RecordedError, match="there are results of aaaaaaaa"):
        compare(tmp_path)


def test_files_cut_at_random_bytes_are_named_and_the_rest_is_compared(tmp_path):
    for machine in ("one", "two"):
        for commit in (BASE, HEAD):
            result_file(tmp_path, commit, machine, nfe_forward=40)
    file = tmp_path / "one" / f"{HEAD[:8]}-env.json"
    whole = file.read_bytes()
    for length in random.Random(0).sample(range(len(whole)), 50):
        file.write_bytes(whole[:length])
        rows, notes = compare_recorded([tmp_path], BASE, HEAD, LIMITS)
        assert [row.status for row in rows] == [Status.SAME]
        assert any(file.name in note for note in notes)
        assert exit_status(rows) == 0


def test_machines_are_merged_and_nothing_is_lost(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    kept = result_file(ours, BASE, nfe_forward=40)
    result_file(theirs, BASE, nfe_forward=99, nvjp=40)
    result_file(theirs, HEAD, machine="there", nfe_forward=41)
    (theirs / "there" / "cut.json").write_text('{"version": 2, "res')
    said = list(merge_results([theirs], ours))
    merged = json.loads(kept.read_text())["results"]
    assert merged["suites.K.track_nfe_forward"][0] == [40]  # ours
    assert merged["suites.K.track_nvjp"][0] == [40]  # theirs
    assert (ours / "there" / f"{HEAD[:8]}-env.json").is_file()
    assert not (ours / "there" / "cut.json").exists()
    assert any("left out" in line and "cut.json" in line for line in said)
    assert any("no machine.json" in line for line in said)
    before = kept.read_bytes()
    list(merge_results([theirs], ours))
    assert kept.read_bytes() == before


def test_an_unreadable_file_of_ours_is_kept_beside(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    broken = result_file(ours, BASE, nfe_forward=40)
    broken.write_text("{")
    result_file(theirs, BASE, nfe_forward=41)
    list(merge_results([theirs], ours))
    assert json.loads(broken.read_text())["results"]
    assert broken.with_name(broken.name + ".unreadable").read_text() == "{"


def test_a_source_that_is_not_there_is_said(tmp_path):
    with pytest.raises(MergeError, match="no folder"):
        list(merge_results([tmp_path / "none"], tmp_path))
