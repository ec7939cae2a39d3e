"""Journals: cut anywhere, continued, foreign, and two at once."""

import json
import os
import random
import time

import pytest

from benchmarks.compare.journal import JournalError, note_others, open_journal, read_journal
from benchmarks.compare.verdicts import judge

from .invented import LIMITS, WORK, exact

HEADER = {"base": {"label": "a"}, "head": {"label": "b"}, "works": [WORK]}


def write(folder, header=HEADER, is_finished=True):
    with open_journal(folder, header) as journal:
        for record in exact({"nfe_forward": 1.0, "x": float("nan")}, {"nfe_forward": 2.0}):
            journal.add(**record)
        if is_finished:
            journal.add("done")
    return journal.file


def test_what_was_written_is_read(tmp_path):
    journal = read_journal(write(tmp_path))
    assert journal.is_finished
    assert journal.warnings == []
    assert next(journal.of("exact", side="base"))["values"] == {"nfe_forward": 1.0, "x": None}


def test_a_file_cut_at_any_byte_loses_one_line_at_the_most(tmp_path):
    file = write(tmp_path)
    whole = file.read_bytes()
    first_line = whole.index(b"\n")
    for length in random.Random(0).sample(range(len(whole)), 60):
        file.write_bytes(whole[:length])
        if length < first_line:
            with pytest.raises(JournalError, match="no comparison of schema"):
                read_journal(file)
            continue
        journal = read_journal(file)
        complete = whole[:length].count(b"\n") - 1
        assert complete <= len(journal.records) <= complete + 1
        assert len(journal.warnings) <= 1
        judge(journal, LIMITS, ())


def test_damage_in_the_middle_is_said_and_the_rest_read(tmp_path):
    file = write(tmp_path)
    draw = random.Random(0)
    whole = file.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[draw.randrange(whole.index(b"\n") + 1, len(whole))] = draw.randrange(256)
        file.write_bytes(damaged)
        judge(read_journal(file), LIMITS, ())


@pytest.mark.parametrize(
    "text", ["", "\n", "[]", "{}", '{"kind": "header"}', "\0\0", "[" * 100_000]
)
def test_a_foreign_file_is_refused_by_name(tmp_path, text):
    file = tmp_path / "foreign.jsonl"
    file.write_text(text)
    with pytest.raises(JournalError, match=r"foreign\.jsonl"):
        read_journal(file)


def test_an_unfinished_comparison_is_continued_and_a_finished_one_is_not(tmp_path):
    file = write(tmp_path, is_finished=False)
    with file.open("a") as stream:
        stream.write('{"kind": "round", "work"')  # killed while it wrote
    with open_journal(tmp_path, HEADER) as journal:
        assert journal.file == file
        assert len(journal.records) == 2
        journal.add("done")
    again = read_journal(file)
    assert len(again.warnings) == 1
    assert again.is_finished
    with open_journal(tmp_path, HEADER) as journal:
        assert journal.file != file
        assert journal.records == []


def test_another_comparison_is_not_continued(tmp_path):
    file = write(tmp_path, is_finished=False)
    with open_journal(tmp_path, {**HEADER, "head": {"label": "c"}}) as journal:
        assert journal.file != file


def test_two_at_once_write_to_a_file_each_and_know_of_each_other(tmp_path):
    with open_journal(tmp_path, HEADER) as first, open_journal(tmp_path, HEADER) as second:
        assert first.file != second.file
        first.add("note", text="one")
        second.add("note", text="two")
        for _ in range(2):  # at the start and at the end, and said once
            note_others(second, time.time())
    of_others = {
        first.file: ["one"],
        second.file: ["two", f"another comparison ran at the same time: {first.file.name}"],
    }
    for file, texts in of_others.items():
        assert [each["text"] for each in read_journal(file).of("note")] == texts


def test_who_began_first_is_told_of_who_began_and_ended_meanwhile(tmp_path):
    with open_journal(tmp_path, HEADER) as earlier:
        earlier.add("done")
    os.utime(earlier.file, (1, 1))
    with open_journal(tmp_path, HEADER) as first:
        start = time.time() - 1
        with open_journal(tmp_path, HEADER) as second:
            second.add("done")
        note_others(first, start)
    (note,) = first.of("note")
    assert second.file.name in note["text"]


def test_every_line_is_strict_json(tmp_path):
    for line in write(tmp_path).read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


FIRST_LINE = {"kind": "header", "schema": 2, "works": ["a"]}


@pytest.mark.parametrize("sides", [{}, {"base": 3, "head": {"label": "b"}}, {"base": {"label": 1}}])
def test_a_header_that_names_no_sides_is_none(tmp_path, sides):
    file = tmp_path / "foreign.jsonl"
    file.write_text(json.dumps(FIRST_LINE | sides))
    with pytest.raises(JournalError, match="foreign"):
        read_journal(file)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "exact", "work": "a", "side": "base", "values": 7},
        {"kind": "exact", "work": "a", "side": "base", "values": {"nvjp": "x"}},
        {"kind": "exact", "work": "a", "side": ["base"], "values": {}},
        {"kind": "exact", "work": "a", "side": "base"},
        {"kind": "exact", "work": "a", "side": "base", "failure": " "},
        {"kind": "instructions", "work": "a", "side": "head", "values": [1]},
        {"kind": "note", "text": {}},
        {"kind": "round", "work": "a", "try": 1, "launch": "x", "blocks": []},
    ],
)
def test_a_record_of_another_type_is_named_and_left_out(tmp_path, record):
    file = tmp_path / "odd.jsonl"
    whole = {**FIRST_LINE, "base": {"label": "a"}, "head": {"label": "b"}}
    file.write_text(f"{json.dumps(whole)}\n{json.dumps(record)}\n")
    journal = read_journal(file)
    assert journal.records == []
    assert "line 2" in journal.warnings[0]
