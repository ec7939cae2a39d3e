"""Memory laws carry measured peaks over; the ladder of methods; the lines of code."""

import math
from pathlib import Path

import pytest

from reports.choose import (
    BUDGETS,
    STAGES,
    Offer,
    budget_table,
    code_of,
    evaluate,
    ladder,
    offers,
    prediction_factors,
)
from reports.labels import tableau_order
from reports.summaries import Summary
from symadj.tableaus import EXPLICIT_TABLEAUS
from tests.reports.invented import Fields, Values, dial_classes, fields, meters, summary_of

STEPS = (10, 40, 160)
STATE, GRAPH = 4 * 32 * 64, 50_000.0  # bytes
WEIGHTS = 4 * 64 * 64


def lawful(named: Fields) -> Values:
    """Meters whose memory follows the laws, each with its own factor."""
    count, stages = int(named["steps"]), 4
    known = {
        "torchdiffeq-backprop": count * stages * GRAPH + WEIGHTS,
        "symadj": 1.2 * (count * STATE + stages * STATE + GRAPH + WEIGHTS),
        "symadj-stages": 1.3 * (count * stages * STATE + GRAPH + WEIGHTS),
        "checkpoint-step": 1.4 * (count * STATE + stages * GRAPH + WEIGHTS),
    }
    return {**meters(named), "peak_cpu_bytes": known[str(named["method"])]}


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    methods = ("symadj", "symadj-stages", "torchdiffeq-backprop", "checkpoint-step")
    work = fields(
        "mlp-steps", methods=methods, tableaus=("rk4",), sizes=("64-64 batch 32",), steps=STEPS
    )
    return summary_of(tmp_path, {"Steps": work}, lawful)


def _offers(summary: Summary, steps: int) -> dict[str, Offer]:
    comparison = next(c for c in summary.comparisons if c.configuration.steps == steps)
    return {offer.row.method: offer for offer in offers(comparison)}


def test_a_law_is_a_sum_of_products() -> None:
    assert evaluate(("N*s*G", "W"), {"N": 2, "s": 3, "G": 5, "W": 7}) == 37


def test_what_follows_the_laws_is_carried_over_exactly(summary: Summary) -> None:
    small, large = _offers(summary, 10), _offers(summary, 160)
    for method, offer in small.items():
        expected = large[method].row.peak_bytes
        # The graph of an evaluation is taken from backprop, weights and all.
        assert offer.peak_bytes(large[method].place) == pytest.approx(expected, rel=0.02), method


def test_the_error_of_carrying_over_is_told(summary: Summary) -> None:
    factors = prediction_factors(summary)
    assert len(factors) == 3 * 4
    assert 1 <= factors[0] <= factors[-1] < 1.02


def test_the_most_steps_fit_and_one_more_does_not(summary: Summary) -> None:
    for offer in _offers(summary, 40).values():
        most = offer.most_steps(2**30)
        place = type(offer.place)(**{**vars(offer.place), "steps": int(most)})
        more = type(offer.place)(**{**vars(offer.place), "steps": int(most) + 1})
        assert offer.peak_bytes(place) <= 2**30 < offer.peak_bytes(more)
        assert offer.most_steps(1000) == 0


def test_the_ladder_goes_from_fast_to_frugal(summary: Summary) -> None:
    rungs = ladder(_offers(summary, 40).values(), BUDGETS[1])

    times = [rung.offer.row.time_ratio.value for rung in rungs if rung.offer.row.time_ratio]
    most = [rung.most_steps for rung in rungs]
    assert times == sorted(times)
    assert most == sorted(most)
    assert len(rungs) > 1
    assert rungs[-1].offer.row.method == "symadj"
    assert math.isfinite(most[0])


def test_the_table_of_budgets_says_what_to_take_up_to_how_many_steps(summary: Summary) -> None:
    (row,) = budget_table(summary, {"mlp-steps": "page.html"}).rows
    assert row[0].href == "page.html"
    assert "steps; symadj up to" in row[3].text


def test_inexact_methods_are_on_no_ladder(tmp_path: Path) -> None:
    (comparison,) = summary_of(tmp_path, {"Kdv": fields("kdv")}).comparisons
    methods = {offer.row.method for offer in offers(comparison)}
    assert "torchdiffeq-adjoint" in methods
    rungs = ladder(offers(comparison), BUDGETS[0])
    assert "torchdiffeq-adjoint" not in {rung.offer.row.method for rung in rungs}


def test_each_setting_of_the_dial_has_its_line_of_code(tmp_path: Path) -> None:
    (comparison,) = summary_of(tmp_path, dial_classes()).comparisons
    lines = {row.measurement.case.checkpoints: code_of(row) for row in comparison.rows}
    assert lines[4] == "symadj.odeint(f, y0, t, checkpoints=4)"
    assert lines["states"] == "symadj.odeint(f, y0, t)"
    assert lines["stages"] == 'symadj.odeint(f, y0, t, checkpoints="stages")'


def test_twice_the_batch_takes_twice_the_states_and_graphs(summary: Summary) -> None:
    for offer in _offers(summary, 40).values():
        place = type(offer.place)(**{**vars(offer.place), "batch": 2 * offer.place.batch})
        ratio = offer.peak_bytes(place) / (offer.row.peak_bytes or math.nan)
        assert 1.6 < ratio < 2.0, "all but the weights"


def test_stages_and_orders_are_those_of_the_library() -> None:
    assert {n: tableau.num_evaluations for n, tableau in EXPLICIT_TABLEAUS.items()} == STAGES
    for name, tableau in EXPLICIT_TABLEAUS.items():
        assert tableau_order(name) == (tableau.order, name)
