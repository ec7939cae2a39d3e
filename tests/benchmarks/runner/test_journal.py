"""Entries come back as they went in; what is damaged is said; two runs do not meet."""

import json
import multiprocessing
import os

import pytest

from benchmarks.measure import Failure
from benchmarks.measurement import METER_UNITS
from benchmarks.runner import journal
from benchmarks.runner.journal import Entry
from tests.benchmarks.runner.cases import group, measurement


def entry(cases, value=1.5, seconds=2.0):
    ours, *others = cases
    return Entry(
        {ours: measurement(value)} | dict.fromkeys(others, Failure("Traceback\nboom")), seconds
    )


def as_text(outcome):
    return repr(outcome)  # NaN is not equal to itself


def test_an_entry_comes_back_as_it_went_in(tmp_path):
    written = entry(group())
    file = journal.write_entry(tmp_path, group(), written)
    read, fault = journal.read_entry(tmp_path, group())
    assert fault == ""
    assert as_text(read) == as_text(written)
    record = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert set(record["cases"][0]["figures"]) == set(METER_UNITS)


def test_what_was_not_measured_is_not_there(tmp_path):
    journal.write_entry(tmp_path, group(3), entry(group(3)))
    assert journal.read_entry(tmp_path, group(4)) == (None, "")
    assert journal.read_entry(tmp_path / "elsewhere", group(3)) == (None, "")


def test_more_cases_measured_together_serve_for_fewer_but_not_the_reverse(tmp_path):
    few, many = group(methods=("symadj",)), group()
    journal.write_entry(tmp_path, few, entry(few, value=1.0))
    assert journal.read_entry(tmp_path, many)[0] is None
    journal.write_entry(tmp_path, many, entry(many, value=7.0))
    assert journal.read_entry(tmp_path, few)[0].outcomes[few[0]].wall_seconds == 7.0
    assert journal.read_outcomes(tmp_path)[few[0]].wall_seconds == 7.0


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"schema": 1}', '{"schema": 99, "cases": [1]}'])
def test_a_damaged_file_is_said_and_counts_as_not_measured(tmp_path, damage):
    file = journal.write_entry(tmp_path, group(3), entry(group(3)))
    journal.write_entry(tmp_path, group(4), entry(group(4)))
    file.write_text(damage, encoding="utf-8")
    read, fault = journal.read_entry(tmp_path, group(3))
    assert read is None
    assert fault
    assert journal.read_entry(tmp_path, group(4))[0] is not None
    assert set(journal.read_outcomes(tmp_path)) == set(group(4))


def test_a_meter_that_is_missing_or_no_number_is_damage(tmp_path):
    file = journal.write_entry(tmp_path, group(), entry(group()))
    record = json.loads(file.read_text(encoding="utf-8"))
    figures = record["cases"][0]["figures"]
    for broken in (figures | {"nvjp": "many"}, {"nvjp": 1.0}):
        record["cases"][0]["figures"] = broken
        file.write_text(json.dumps(record), encoding="utf-8")
        assert journal.read_entry(tmp_path, group())[1]


def test_a_write_that_is_cut_short_leaves_what_was_there(tmp_path, monkeypatch):
    file = journal.write_entry(tmp_path, group(), entry(group()))
    before = file.read_bytes()

    def power_cut(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(journal.os, "fsync", power_cut)
    with pytest.raises(KeyboardInterrupt):
        journal.write_entry(tmp_path, group(), entry(group(), value=9.0))
    assert file.read_bytes() == before
    assert len(list(tmp_path.rglob("*.unfinished"))) == 1
    journal.remove_unfinished(tmp_path)
    assert list(tmp_path.rglob("*.*")) == [file]


def hold_and_die(root, ready):
    with journal.locked(root):
        ready.set()
        os._exit(1)


def try_to_lock(root, said):
    try:
        with journal.locked(root):
            said.put("")
    except journal.JournalBusyError as error:
        said.put(str(error))


def test_a_second_run_is_refused_and_told_by_whom(tmp_path):
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    with journal.locked(tmp_path):
        other = context.Process(target=try_to_lock, args=(tmp_path, said))
        other.start()
        other.join()
        message = said.get(timeout=10)
    assert f"process {os.getpid()}" in message
    assert "Wait until it has ended" in message
    try_to_lock(tmp_path, said)
    assert said.get(timeout=10) == ""


def test_the_lock_of_a_process_that_died_is_free(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=hold_and_die, args=(tmp_path, ready))
    holder.start()
    holder.join()
    assert ready.is_set()
    with journal.locked(tmp_path):
        pass


def test_earlier_seconds_are_those_of_a_case_in_the_latest_run(tmp_path):
    for run, seconds in (("old", 10.0), ("new", 4.0)):
        file = journal.write_entry(tmp_path / run, group(), entry(group(), seconds=seconds))
        os.utime(file, (seconds, 1e9 - seconds))
    (tmp_path / "new" / "groups" / "damaged.json").write_text("{")
    assert journal.earlier_seconds(tmp_path) == {"mlp-steps rk4 2-8-2 batch 4 3 steps": 2.0}
