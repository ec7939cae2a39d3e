"""A whole training at its smallest, killed and resumed, as the report reads it."""

import argparse
import json
from dataclasses import fields

import pytest

from benchmarks.environment import SIZE_VARIABLE
from benchmarks.training import command, turns
from benchmarks.training.curves import CURVES, PLANS, Curve, Plan, Work
from benchmarks.training.trainer import Point

CONDITIONS = {"commit": "a" * 40, "code": "b", "size": "smoke", "device": "cpu"}
CONDITIONS |= {"cpu": "CPU", "num_cpu": 2, "gpu": None, "is_dirty": False, "num_threads": 1}
FEW = (Curve("symadj", "grid", "float32"), Curve("torchdiffeq-adjoint", "loose", "float32"))


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "JOURNAL", tmp_path / "journal")
    monkeypatch.setattr(command, "conditions", lambda _: CONDITIONS)
    monkeypatch.setattr(command, "refuse_changes", lambda *_: None)
    monkeypatch.setattr(command, "CURVES", FEW)
    work = Work("64-4-64", 2, num_iterations=3, num_evaluations=3, num_grid_steps=2)
    monkeypatch.setitem(PLANS, "smoke", Plan((0,), {"digits-cnf": work}))
    return tmp_path


def run(*arguments):
    said = []
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    given = parser.parse_args(["train", "--task", "digits-cnf", *arguments])
    return command.main(given, said.append), "\n".join(said)


def test_the_file_says_what_was_trained_and_how(place):
    status, said = run()
    assert status == 0
    (file,) = (place / ".asv" / "results" / "CPU-2-cores" / "training").iterdir()
    assert file.name == "aaaaaaaa-smoke-digits-cnf-seed-0.json"
    assert file.name in said
    record = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (record["schema"], record["kind"], record["task"]) == (1, "training", "digits-cnf")
    assert record["data"] == "real"
    assert record["conditions"] == CONDITIONS
    assert record["machine"] == "CPU-2-cores"
    assert record["tolerances"]["loose"]["rtol"] > record["tolerances"]["tight"]["rtol"]
    assert [(c["method"], c["setting"], c["dtype"]) for c in record["curves"]] == [
        ("symadj", "grid", "float32"),
        ("torchdiffeq-adjoint", "loose", "float32"),
    ]
    for curve in record["curves"]:
        assert [point["iteration"] for point in curve["points"]] == [0, 1, 2, 3]
        assert set(curve["points"][0]) == {field.name for field in fields(Point)}
        assert curve["failure"] is None


def test_what_is_trained_is_not_trained_again(monkeypatch):
    run()
    monkeypatch.setattr(command, "train", pytest.fail)
    assert run()[0] == 0


def test_a_training_that_is_killed_goes_on_at_its_last_evaluation(place, monkeypatch):
    whole = {}
    run()
    for file in place.rglob("*.json"):
        whole[file] = json.loads(file.read_text())
        file.unlink()
    iterations = []
    take_turns = turns._take_turns

    def until_killed(trainers, iteration):
        if iteration == 2 and 2 not in iterations:
            iterations.append(iteration)
            raise KeyboardInterrupt
        iterations.append(iteration)
        take_turns(trainers, iteration)

    monkeypatch.setattr(turns, "_take_turns", until_killed)
    assert run()[0] == 130
    assert run()[0] == 0
    assert iterations == [0, 1, 2, 2]
    for file, record in whole.items():
        resumed = json.loads(file.read_text())
        losses, again = (
            [[point["held_out_loss"] for point in curve["points"]] for curve in one["curves"]]
            for one in (record, resumed)
        )
        assert losses == again
    assert list(place.rglob("*.partial")) == []


def test_a_size_that_has_no_training_is_said(monkeypatch, capsys):
    monkeypatch.setenv(SIZE_VARIABLE, "full")
    assert run()[0] == 2
    assert "no training of size 'full'; smoke, quick, standard" in capsys.readouterr().err


def test_the_claims_have_their_curves():
    adaptive = {(c.method, c.setting) for c in CURVES if c.setting != "grid"}
    assert len(adaptive) == 8
    assert {c.dtype for c in CURVES if c.setting == "grid"} == {"float64", "float32", "bfloat16"}
