"""Steps: the commit that changed a meter is named, and nothing else is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reports.changes import tracks
from reports.records import Case, Configuration, Environment, Measurement, Run

CASE = Case(Configuration("kdv", "dopri8", "16 points", "adaptive"), "symadj", "default")
START = datetime(2026, 1, 1, tzinfo=UTC)


def run(day, case=CASE, torch="2.13.0", **values):
    environment = Environment("here", packages=(("symadj", str(day)), ("torch", torch)))
    date = START + timedelta(days=day)
    measurements = (Measurement(case, values),)
    return Run("asv", f"{day}.json", f"commit{day}", environment, measurements, date, date)


def steps(runs):
    """Commit and direction of every step."""
    return [
        (runs[track.points[place][0]].commit, track.verdict(place))
        for track in tracks(runs, ("nfe_forward", "peak_cpu_bytes", "wall_seconds"))
        for place in track.steps
    ]


def test_the_commit_that_made_a_step_is_named():
    runs = [run(day, nfe_forward=value) for day, value in enumerate((49.0, 50.0, 50.0))]
    assert steps(runs) == [("commit1", "more")]


def test_a_step_back_is_one_too():
    runs = [run(day, nfe_forward=value) for day, value in enumerate((49.0, 50.0, 49.0))]
    assert steps(runs) == [("commit1", "more"), ("commit2", "less")]


def test_small_changes_add_up():
    runs = [run(day, peak_cpu_bytes=1e7 * (1 + 0.003 * day)) for day in range(3)]
    assert steps(runs) == [("commit2", "more")]


def test_a_commit_without_the_figure_is_passed_over():
    assert steps([run(0, nfe_forward=1.0), run(1), run(2, nfe_forward=2.0)]) == [
        ("commit2", "more")
    ]


def test_versions_and_cases_are_not_mixed():
    other = replace(CASE, method="torchdiffeq-backprop")
    runs = [
        run(0, nfe_forward=1.0),
        run(2, torch="2.14.0", nfe_forward=3.0),
        run(3, case=other, torch="2.14.0", nfe_forward=4.0),
    ]
    assert steps(runs) == []


def test_seconds_have_no_steps():
    assert steps([run(day, wall_seconds=1.0 + day) for day in range(2)]) == []


def test_what_belongs_to_no_commit_is_passed_over():
    runs = [
        run(0, nfe_forward=1.0),
        replace(run(1, nfe_forward=2.0), is_dirty=True),
        replace(run(2, nfe_forward=3.0), date=None),
        run(3, nfe_forward=1.0),
    ]
    assert steps(runs) == []


def test_of_two_runs_of_a_commit_the_last_counts():
    runs = [run(0, nfe_forward=9.0), run(0, nfe_forward=1.0), run(1, nfe_forward=1.0)]
    assert steps(runs) == []
