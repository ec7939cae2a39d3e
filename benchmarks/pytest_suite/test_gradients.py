"""Every case under pytest-benchmark: its own clock, and all meters in ``extra_info``.

    python -m pytest benchmarks/pytest_suite --benchmark-json=results.json

pytest-benchmark times each case by itself; the interleaved seconds and ratios, which can be
compared between methods, are those in ``extra_info``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.cases import Case
from benchmarks.measure import Failure, Outcome, prepare
from benchmarks.outcomes import Code
from benchmarks.sizes import selected_size_set


def test_gradient(
    benchmark: BenchmarkFixture, case: Case, measured: Callable[[Case], Outcome]
) -> None:
    """Time one gradient, forward and backward, and record the case's meters beside it."""
    outcome = measured(case)
    if isinstance(outcome, Failure):
        pytest.fail(outcome.traceback, pytrace=False)
    if not math.isnan(outcome.outcome) and math.isnan(outcome.wall_seconds):
        pytest.skip(Code(int(outcome.outcome)).name)
    if math.isnan(outcome.wall_seconds):
        pytest.skip(f"it would replay {outcome.num_replayed_steps:,.0f} steps")
    benchmark.group = f"{case.problem} {case.tableau} {case.size} {case.steps}"
    benchmark.extra_info |= asdict(case) | asdict(outcome)
    rounds = selected_size_set().effort_of(case.problem).min_rounds
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        prepare(case).gradient, rounds=rounds, warmup_rounds=1
    )
