"""Steps: the commit that changed an exact meter is named, and nothing else is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reports.records import Case, Configuration, Environment, Measurement, Run
from reports.steps import find_steps
from reports.tolerances import Threshold

CASE = Case(Configuration("kdv", "dopri8", "16 points", "adaptive"), "symadj", "default")
START = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLDS = {
    "nfe_forward": Threshold("nfe_forward", "", "equal", {}, ""),
    "peak_cpu_bytes": Threshold(
        "peak_cpu_bytes", "", "relative", {"relative": 0.01, "absolute": 0.0}, ""
    ),
    "own_seconds": Threshold("own_seconds", "", "ratio", {"least": 0.01, "resolution": 0.06}, ""),
}


def run(day, machine="here", case=CASE, torch="2.13.0", **values):
    environment = Environment(machine, packages=(("symadj", str(day)), ("torch", torch)))
    date = START + timedelta(days=day)
    measurements = (Measurement(case, values),)
    return Run("asv", f"{day}.json", f"commit{day}", environment, measurements, date, date)


def test_the_commit_that_made_a_step_is_named():
    runs = [run(2, nfe_forward=50.0), run(1, nfe_forward=49.0), run(3, nfe_forward=50.0)]
    (step,) = find_steps(runs, THRESHOLDS)
    assert (step.previous, step.commit) == ("commit1", "commit2")
    assert (step.before, step.after, step.is_worse) == (49.0, 50.0, True)


def test_a_step_back_is_one_too():
    runs = [run(day, nfe_forward=value) for day, value in enumerate([49.0, 50.0, 49.0])]
    assert [step.is_worse for step in find_steps(runs, THRESHOLDS)] == [True, False]


def test_small_changes_add_up():
    runs = [run(day, peak_cpu_bytes=1000.0 + 4 * day) for day in range(5)]
    (step,) = find_steps(runs, THRESHOLDS)
    assert (step.commit, step.before, step.after) == ("commit3", 1000.0, 1012.0)


def test_a_commit_without_the_figure_is_passed_over():
    runs = [run(0, nfe_forward=1.0), run(1), run(2, nfe_forward=2.0)]
    (step,) = find_steps(runs, THRESHOLDS)
    assert (step.previous, step.commit) == ("commit0", "commit2")


def test_machines_versions_and_cases_are_not_mixed():
    other = replace(CASE, method="torchdiffeq-backprop")
    runs = [
        run(0, nfe_forward=1.0),
        run(1, machine="there", nfe_forward=2.0),
        run(2, torch="2.14.0", nfe_forward=3.0),
        run(3, case=other, nfe_forward=4.0),
    ]
    assert find_steps(runs, THRESHOLDS) == ()


def test_seconds_and_unknown_meters_have_no_steps():
    runs = [run(day, own_seconds=1.0 + day, wall_seconds=1.0 + day) for day in range(2)]
    assert find_steps(runs, THRESHOLDS) == ()


def test_what_belongs_to_no_commit_is_passed_over():
    runs = [
        run(0, nfe_forward=1.0),
        replace(run(1, nfe_forward=2.0), is_dirty=True),
        replace(run(2, nfe_forward=3.0), date=None),
    ]
    assert find_steps(runs, THRESHOLDS) == ()


def test_of_two_runs_of_a_commit_the_last_counts():
    first, second = run(0, nfe_forward=9.0), run(0, nfe_forward=1.0)
    second = replace(second, measured=second.measured + timedelta(hours=1), file="0b.json")
    assert find_steps([second, first, run(1, nfe_forward=1.0)], THRESHOLDS) == ()
