"""The proof's own bookkeeping: nothing is lost, nothing counts twice, a part is called one."""

import random
import subprocess

import pytest
from scipy.stats import binomtest

from benchmarks.compare.proof import __main__ as proof
from benchmarks.compare.proof import experiment
from benchmarks.compare.proof.experiment import KilledError, compare_whole
from benchmarks.compare.proof.ledger import Verdict, open_ledger, read_ledger
from benchmarks.compare.proof.planting import NO_FAULT, TIME_FAULTS
from benchmarks.compare.proof.summary import as_table, exact_interval, failures, num_missing

ARGUMENTS = ("--repeats", "2", "--comparisons", "2", "--no-change", "3")


def verdict(fault=NO_FAULT, run=1, exit_status=0, kind="whole"):
    return Verdict(kind, fault.name, run, exit_status, ["seconds"] * exit_status, 300.0, 7.0)


@pytest.fixture
def made(monkeypatch):
    """Put invented comparisons in place of real ones, and return which were made."""
    made = []

    def some(name, *_, count_seconds=0.0, **__):
        made.append(("counted" if count_seconds else "exact", name))
        return (0, []) if name == NO_FAULT.name else (1, ["nfe_forward"])

    def whole(base, head, folder, seconds, lock, cases):
        made.append(("timed" if cases else "whole", folder.name))
        return (0, []) if "no-change" in folder.name else (1, ["seconds"])

    def planted(fault, folder):
        folder.mkdir(parents=True)
        return folder

    monkeypatch.setattr(proof, "compare_some", some)
    monkeypatch.setattr(proof, "compare_whole", whole)
    monkeypatch.setattr(proof, "plant", planted)
    return made


def run(tmp_path, *options):
    return proof.main([*ARGUMENTS, "--folder", str(tmp_path), *options])


def test_a_proof_that_was_stopped_goes_on_and_makes_each_run_once(
    tmp_path, made, monkeypatch, capsys
):
    whole = proof.compare_whole

    def stopped(*arguments):
        if len(made) == 21:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(proof, "compare_whole", stopped)
    assert run(tmp_path) == 2
    assert "**Partial**: 8 of 29 runs" in capsys.readouterr().out
    monkeypatch.setattr(proof, "compare_whole", whole)
    assert run(tmp_path) == 0
    assert "Partial" not in capsys.readouterr().out
    assert len(made) == 29
    assert run(tmp_path) == 0  # nothing is left to be done
    assert len(made) == 29


def test_a_comparison_that_somebody_ended_is_made_again(tmp_path, made, monkeypatch, capsys):
    whole = proof.compare_whole

    def ended(*_):
        raise KilledError("ended by SIGTERM")

    monkeypatch.setattr(proof, "compare_whole", ended)
    assert run(tmp_path, "--kinds", "whole", "--faults", "^5%") == 2
    assert "ended by SIGTERM" in capsys.readouterr().err
    assert not made
    monkeypatch.setattr(proof, "compare_whole", whole)
    assert run(tmp_path, "--kinds", "whole", "--faults", "^5%") == 0
    assert len(made) == 2


def test_the_signal_that_ended_a_comparison_is_named(tmp_path, monkeypatch):
    ended = subprocess.CompletedProcess([], returncode=-15)
    monkeypatch.setattr(experiment.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(KilledError, match="SIGTERM"):
        compare_whole(tmp_path, tmp_path, tmp_path, 1.0, 0)


def test_what_was_not_found_is_status_1_and_what_there_is_can_be_shown(
    tmp_path, made, monkeypatch, capsys
):
    assert run(tmp_path, "--show") == 2
    monkeypatch.setattr(proof, "compare_whole", lambda *_: (0, []))
    assert run(tmp_path) == 1
    assert "5% more time: found in 0.0%, wanted 95%" in capsys.readouterr().out
    assert run(tmp_path, "--show") == 1


def test_some_faults_only(tmp_path, made, capsys):
    assert run(tmp_path, "--faults", "^5%|wrong digit") == 0
    assert made == [("exact", "a wrong digit in b_5")] * 2 + [
        ("whole", f"5--more-time-{number}") for number in (1, 2)
    ]
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, "--faults", "nothing like it")
    assert stopped.value.code == 2
    assert "3% more time" in capsys.readouterr().err


def test_seconds_alone_are_asked_for(tmp_path, made):
    assert run(tmp_path, "--kinds", "timed", "--faults", "^5%") == 0
    assert made == [("timed", f"5--more-time-{number}") for number in (1, 2)]


def test_a_part_has_the_same_share_of_each_fault(tmp_path, made, monkeypatch):
    whole = proof.compare_whole

    def stopped(*arguments):
        if sum(kind == "whole" for kind, _ in made) == 11:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(proof, "compare_whole", stopped)
    run(tmp_path, "--comparisons", "4", "--no-change", "8", "--faults", "change|more time$")
    whole_ones = [name.rpartition("-")[0] for kind, name in made if kind == "whole"]
    assert [whole_ones.count(name) for name in ("no-change", "3--more-time")] == [5, 2]


def test_a_ledger_cut_anywhere_loses_the_cut_line_only(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    with open_ledger(file) as ledger:
        for number in range(1, 6):
            ledger.add(verdict(run=number))
    whole = file.read_bytes()
    draw = random.Random(0)
    for cut in (draw.randrange(1, len(whole)) for _ in range(30)):
        file.write_bytes(whole[:cut])
        complete = whole[: cut + 1].count(b"\n")  # only its end may be missing
        with open_ledger(file) as ledger:
            assert len(ledger.verdicts) == complete
            ledger.add(verdict(run=9))
        assert [each.run for each in read_ledger(file).verdicts] == [*range(1, complete + 1), 9]


def test_a_run_that_is_there_twice_counts_once_and_foreign_lines_are_named(tmp_path):
    file = tmp_path / "verdicts.jsonl"
    with open_ledger(file) as ledger:
        ledger.add(verdict())
        ledger.add(verdict(exit_status=1))
    with file.open("a") as stream:
        stream.write('{"kind": "whole"}\n[1]\n\x00\n')
    ledger = read_ledger(file)
    assert ledger.verdicts == [verdict()]
    assert [warning.split(": ")[1].split()[1] for warning in ledger.warnings] == ["3", "4", "5"]


def test_a_second_proof_at_once_is_refused(tmp_path, made, capsys):
    file = tmp_path / proof._version(proof_options()) / "verdicts.jsonl"
    with open_ledger(file):
        assert run(tmp_path) == 2
    assert "another proof" in capsys.readouterr().err
    assert not made


def proof_options():
    class Options:
        seconds = 300.0

    return Options()


def test_no_verdict_is_not_found():
    plan = {("whole", TIME_FAULTS[0]): 4}
    verdicts = [verdict(TIME_FAULTS[0], number, status) for number, status in enumerate((1, 1, 2))]
    assert list(failures(plan, verdicts)) == ["3% more time: found in 66.7%, wanted 80%"]
    assert num_missing(plan, verdicts) == 1
    assert "2 of 3 (of 4)" in as_table(plan, verdicts)


def test_one_false_alarm_in_a_hundred_is_borne_and_two_are_not():
    plan = {("whole", NO_FAULT): 100}
    verdicts = [verdict(run=number, exit_status=number < 1) for number in range(100)]
    assert not list(failures(plan, verdicts))
    assert list(failures(plan, [*verdicts[:99], verdict(run=100, exit_status=1)]))


def test_the_interval_is_scipys():
    for count, total in ((0, 100), (1, 100), (10, 10), (81, 263)):
        expected = binomtest(count, total).proportion_ci(method="exact")
        assert exact_interval(count, total) == pytest.approx((expected.low, expected.high))


def test_verdicts_from_elsewhere_are_shown_together(tmp_path, capsys):
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file, status in zip(files, (1, 0), strict=True):
        with open_ledger(file) as ledger:
            ledger.add(verdict(TIME_FAULTS[0], exit_status=status))
    assert proof.main(["--verdicts", *map(str, files)]) == 1
    assert "| 3% more time | whole comparison | 1 of 2 |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        proof.main(["--verdicts", str(tmp_path / "none")])


def test_a_whole_comparison_that_cannot_be_made_is_no_verdict(tmp_path):
    with open_ledger(tmp_path / "verdicts.jsonl") as ledger:
        missing = tmp_path / "missing"
        status, worse = compare_whole(missing, missing, tmp_path / "out", 1.0, ledger.lock)
    assert (status, worse) == (2, [])
