"""Parts of a run, and what becomes of their journals."""

import argparse
import json

import pytest

from benchmarks.runner import command, merging
from benchmarks.runner.conditions import folder_name
from benchmarks.runner.journal import Entry, read_outcomes, write_entry, write_json
from benchmarks.runner.sharing import Shard, merge, read_shard
from tests.benchmarks.runner.cases import group, measurement

GROUPS = [group(steps) for steps in range(1, 12)]
PRESENT = {"commit": "a" * 40, "size": "smoke", "device": "cpu", "is_dirty": False}
PRESENT |= {"cpu": "CPU", "num_cpu": 2, "gpu": None, "code": "b", "num_threads": 1}


@pytest.mark.parametrize("count", [1, 3, 11, 40])
def test_parts_hold_every_group_once(count):
    parts = [Shard(index, count).part_of(GROUPS) for index in range(1, count + 1)]
    assert sorted((one for part in parts for one in part), key=GROUPS.index) == GROUPS
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/3/3", "-1/3"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="1/40"):
        read_shard(text)


def journal_with(root, groups, value):
    folder = root / folder_name(PRESENT)
    write_json(folder / "conditions.json", PRESENT)
    for one in groups:
        write_entry(folder, one, Entry(dict.fromkeys(one, measurement(value)), 1.0))
    return root


def test_merged_journals_hold_everything_once_and_merging_again_changes_nothing(tmp_path):
    first = journal_with(tmp_path / "a", GROUPS[:6], 1.0)
    second = journal_with(tmp_path / "b", GROUPS[5:], 2.0)
    whole = tmp_path / "whole"
    assert sum(merge([first, second], whole).values()) == 11
    folder = whole / folder_name(PRESENT)
    outcomes = read_outcomes(folder)
    assert set(outcomes) == {case for one in GROUPS for case in one}
    # Of what both have, the first is kept.
    assert outcomes[GROUPS[5][0]] == read_outcomes(first / folder.name)[GROUPS[5][0]]
    assert sum(merge([second, first], whole).values()) == 0
    assert not list(whole.rglob("*.unfinished"))


def test_a_folder_that_was_renamed_is_refused(tmp_path):
    source = journal_with(tmp_path / "a", GROUPS[:1], 1.0)
    (source / folder_name(PRESENT)).rename(source / "another")
    with pytest.raises(ValueError, match="copy whole folders"):
        merge([source], tmp_path / "whole")
    with pytest.raises(ValueError, match="is no journal"):
        merge([tmp_path / "nowhere"], tmp_path / "whole")


@pytest.fixture
def parser(monkeypatch, tmp_path):
    """The commands, in a journal of their own; what is measured and collected is put down."""
    collected = []
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "JOURNAL", tmp_path / "journal")
    monkeypatch.setattr(command, "conditions", lambda _: PRESENT)
    monkeypatch.setattr(command, "refuse_changes", lambda *_: None)
    monkeypatch.setattr(command, "_chosen", lambda *_: tuple(GROUPS))
    monkeypatch.setattr(
        command, "measure_apart", lambda one: dict.fromkeys(one, measurement(one[0].steps))
    )
    for module in (command, merging):
        monkeypatch.setattr(
            module, "collect", lambda *given: collected.append(given) or tmp_path / "asv.json"
        )
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    command.add_parser(commands)
    merging.add_parser(commands)

    def run(*words):
        given = parser.parse_args(words)
        return given.command(given)

    return run, collected


def test_shards_measure_apart_and_are_merged_afterwards(parser, tmp_path, capsys):
    run, collected = parser
    for index in (1, 2, 3):
        assert run("run", "--shard", f"{index}/3") == 0
    assert not collected
    folders = list((tmp_path / "journal" / "shards").glob("*/*/groups"))
    titles = [
        json.loads(file.read_text())["title"] for folder in folders for file in folder.iterdir()
    ]
    assert len(folders) == 3
    assert len(set(titles)) == len(titles) == 11
    assert run("merge") == 0
    ((_, given, outcomes),) = collected
    assert given == PRESENT
    assert {case.steps: outcomes[case].wall_seconds for case in outcomes} == {
        steps: float(steps) for steps in range(1, 12)
    }
    # What is merged is not measured again, however the run is divided.
    capsys.readouterr()
    assert run("run", "--shard", "2/5") == 0
    assert "[" not in capsys.readouterr().out
    assert run("run", "--shard", "9/5") == command.MISUSED


def test_nothing_to_merge_is_said(parser, capsys):
    run, _ = parser
    assert run("merge") == command.MISUSED
    assert "holds no shards" in capsys.readouterr().err
