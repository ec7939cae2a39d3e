"""Trainings are read with tolerance, and drawn as they are."""

import json
from pathlib import Path

import pytest

from reports.drawings import training_figures
from reports.labels import method_label
from reports.loaders import load_trainings
from tests.reports.invented import METHODS


def write_training(folder: Path, *, seed: int = 0, **changes: object) -> Path:
    """Write a training as ``benchmarks train`` does; every number is invented."""

    def point(iteration: int, method: str) -> dict[str, float | None]:
        return {
            "iteration": iteration,
            "wall_seconds": 0.5 * iteration,
            "nfe_forward": 10 * iteration,
            "nfe_backward": 20 * iteration,
            "training_loss": None,
            "held_out_loss": 100.0 / (1 + iteration) + seed,
            "relative_step_gradient_error": 1e-2 if "adjoint" in method else 1e-7,
        }

    curves = [
        {
            "method": method,
            "setting": setting,
            "dtype": dtype,
            "failure": None,
            "points": [point(iteration, method) for iteration in (0, 10, 20)],
        }
        for method in METHODS[::2]
        for setting, dtype in (("tight", "float32"), ("grid", "bfloat16"))
    ]
    record = {
        "schema": 1,
        "kind": "training",
        "task": "digits-cnf",
        "data": "real",
        "network": "64-64-64",
        "seed": seed,
        "tolerances": {"tight": {"tableau": "dopri5", "rtol": 1e-5, "atol": 1e-6}},
        "grid": {"tableau": "rk4", "num_steps": 8},
        "machine": "invented",
        "date": "2023-11-14T22:13:20+00:00",
        "conditions": {"commit": "c" * 40},
        "curves": curves,
    }
    file = folder / "invented/training" / f"cccccccc-quick-digits-cnf-seed-{seed}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record | changes), encoding="utf-8")
    return file


def test_a_training_is_read(tmp_path: Path) -> None:
    write_training(tmp_path)

    (training,) = load_trainings(tmp_path).trainings

    assert (training.task, training.machine, training.commit) == (
        "digits-cnf",
        "invented",
        "c" * 40,
    )
    assert training.settings == {"tight": "dopri5, rtol 1e-05", "grid": "rk4, 8 steps"}
    assert len(training.curves) == 6
    assert training.curves[0].points[1].num_evaluations == 300


@pytest.mark.parametrize("changes", [{"schema": 2}, {"curves": None}])
def test_what_is_no_training_is_named(tmp_path: Path, changes: dict[str, object]) -> None:
    file = write_training(tmp_path, **changes)

    loaded = load_trainings(tmp_path)

    assert loaded.trainings == ()
    assert loaded.warnings == (f"{file.as_posix()}: not a training of schema 1",)


def test_odd_curves_do_no_harm(tmp_path: Path) -> None:
    curves = [
        {"method": "symadj", "points": [{"held_out_loss": None}, 3, None]},
        {"method": "<b>", "setting": "tight", "failure": "Trace\nValueError: boom", "points": []},
        7,
    ]
    write_training(tmp_path, curves=curves)

    loaded = load_trainings(tmp_path)

    assert loaded.trainings[0].curves[1].failure == "ValueError: boom"
    assert training_figures(loaded.trainings, method_label) == []


def test_one_seed_says_so_and_several_have_whiskers(tmp_path: Path) -> None:
    write_training(tmp_path)
    one = training_figures(load_trainings(tmp_path).trainings, method_label)
    write_training(tmp_path, seed=1)
    two = training_figures(load_trainings(tmp_path).trainings, method_label)

    assert [figure.key.rpartition("-")[2] for figure in one] == ["time", "nfe", "error", "error"]
    assert "a single sample" in one[0].caption
    assert "Median of 2 seeds" in two[0].caption
    assert one[0].series[0].points[0].y_interval is None
    assert two[0].series[0].points[0].y_interval == (100.0, 101.0)
    assert two[0].series[0].points[0].y == 100.5


def test_a_curve_that_ended_early_is_named_with_its_reason(tmp_path: Path) -> None:
    file = write_training(tmp_path)
    record = json.loads(file.read_text(encoding="utf-8"))
    record["curves"][0] |= {"failure": "Traceback\nValueError: it went wrong", "points": []}
    file.write_text(json.dumps(record), encoding="utf-8")

    figures = training_figures(load_trainings(tmp_path).trainings, method_label)

    assert "Ended early: symadj (ValueError: it went wrong)." in figures[0].caption
