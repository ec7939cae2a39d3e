"""Whole runs, killed and resumed."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import __main__ as cli
from benchmarks.environment import SIZE_VARIABLE
from benchmarks.groups import title
from benchmarks.measure import Failure
from benchmarks.runner import command
from benchmarks.runner.code_state import WrongTreeError
from tests.benchmarks.runner.cases import group, measurement

ROOT = Path(__file__).parents[3]
RUN = """
import sys, time
from pathlib import Path
from benchmarks import __main__ as cli
from benchmarks.runner import command
from tests.benchmarks.runner.cases import measurement

def measure(group):  # test_worker.py has the process that really measures
    time.sleep(0.3)
    return dict.fromkeys(group, measurement())

command.JOURNAL = Path(sys.argv[1])
command.collect = lambda *_: command.ROOT / "asv.json"
command.measure_apart = measure
sys.exit(cli.main(["run", "--size", "smoke", "--only", "mlp-steps", "--method", "symadj"]))
"""


def start(journal):
    # ROOT first, as for whoever has installed the tree
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", RUN, str(journal)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def entries(journal):
    return {file: file.read_bytes() for file in journal.glob("*/groups/*.json")}


def test_a_run_killed_in_the_middle_goes_on_and_measures_nothing_twice(tmp_path):
    run = start(tmp_path)
    while len(entries(tmp_path)) < 2 and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    killed = run.communicate(timeout=60)[0]
    kept = entries(tmp_path)
    assert 2 <= len(kept) < 4, killed
    resumed = start(tmp_path)
    said = resumed.communicate(timeout=200)[0]
    assert resumed.returncode == 0, said
    assert f"{len(kept)} of 4 groups were measured before" in said
    measured = re.findall(r"^\[(\d)/4\]", said, re.MULTILINE)
    assert measured == [str(number) for number in range(len(kept) + 1, 5)]
    after = entries(tmp_path)
    assert len(after) == 4
    assert {file: after[file] for file in kept} == kept
    assert list(tmp_path.rglob("*.unfinished")) == []


@pytest.fixture
def conditions(monkeypatch, tmp_path):
    """A run in this process: two groups, and what is measured and collected is put down."""
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    present = {"commit": "a" * 40, "size": "smoke", "device": "cpu", "is_dirty": False}
    present |= {"cpu": "CPU", "num_cpu": 2, "gpu": None, "code": "b", "num_threads": 1}
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "JOURNAL", tmp_path / "journal")
    monkeypatch.setattr(command, "conditions", lambda _: present)
    monkeypatch.setattr(command, "refuse_changes", lambda *_: None)
    monkeypatch.setattr(command, "_chosen", lambda *_: (group(1), group(2)))
    monkeypatch.setattr(command, "collect", lambda *_: tmp_path / "asv.json")
    return present


def run(monkeypatch, *arguments):
    """Return the status, the groups that were measured, and what was said."""
    measured, said = [], []

    def measure(one):
        measured.append(one)
        return dict.fromkeys(one, measurement())

    monkeypatch.setattr(command, "measure_apart", measure)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    status = command.main(parser.parse_args(["run", *arguments]), said.append)
    return status, measured, "\n".join(said)


def test_what_is_measured_is_not_measured_again(conditions, monkeypatch):
    assert run(monkeypatch)[:2] == (0, [group(1), group(2)])
    assert run(monkeypatch)[:2] == (0, [])


@pytest.mark.parametrize(
    "change",
    [{"commit": "c" * 40}, {"code": "other", "is_dirty": True}, {"num_threads": 2}],
    ids=["another commit", "changed files", "other threads"],
)
def test_other_conditions_never_reuse(conditions, monkeypatch, change):
    run(monkeypatch)
    conditions |= change
    status, measured, said = run(monkeypatch)
    assert (status, measured) == (0, [group(1), group(2)])
    assert ("the tree has changes" in said) == conditions["is_dirty"]


def test_a_damaged_entry_is_said_and_measured_again(conditions, monkeypatch, tmp_path):
    run(monkeypatch)
    (file,) = [f for f in entries(tmp_path / "journal") if title(group(2)) in f.read_text()]
    file.write_text(file.read_text()[:100])
    status, measured, said = run(monkeypatch)
    assert (status, measured) == (0, [group(2)])
    assert f"damaged, so measured again: {title(group(2))}" in said
    assert run(monkeypatch)[1] == []


def test_a_dry_run_measures_nothing_and_says_what_it_would(conditions, monkeypatch, tmp_path):
    status, measured, said = run(monkeypatch, "--dry-run")
    assert (status, measured) == (0, [])
    assert f"to be measured: {title(group(1))}" in said
    assert "2 of 2 groups left" in said
    assert not (tmp_path / "journal").exists()


def test_a_failed_case_is_the_exit_status_and_the_rest_is_kept(conditions, monkeypatch):
    def measure(one):
        return {one[0]: Failure("Traceback\nMemoryError: no more"), one[1]: measurement()}

    monkeypatch.setattr(command, "measure_apart", measure)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    said = []
    assert command.main(parser.parse_args(["run"]), said.append) == 1
    assert "    failed: symadj, checkpoints default: MemoryError: no more" in said
    assert run(monkeypatch)[:2] == (1, [])  # still failed, and not tried again unasked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "nonsense"], "no method is called 'nonsense'; there are symadj"),
        (["--only", "nonsense"], "no group's title has 'nonsense'; there are"),
        (["--only", "("], "no regular expression"),
    ],
)
def test_what_there_is_not_is_said(arguments, message, capsys, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    assert cli.main(["run", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_was_measured_while_the_code_changed_is_not_kept(
    conditions, monkeypatch, tmp_path, capsys
):
    def refuse(root, digest):
        assert digest == conditions["code"]
        if entries(tmp_path / "journal"):
            raise WrongTreeError("files have changed")

    monkeypatch.setattr(command, "refuse_changes", refuse)
    assert run(monkeypatch)[:2] == (2, [group(1), group(2)])
    assert "files have changed" in capsys.readouterr().err
    assert len(entries(tmp_path / "journal")) == 1


def test_the_time_left_is_guessed_from_what_was_measured_before(conditions, monkeypatch):
    run(monkeypatch)
    monkeypatch.setattr(command, "_chosen", lambda *_: (group(1), group(9)))
    assert "1 of 2 groups left, about 0 s" in run(monkeypatch, "--dry-run")[2]
