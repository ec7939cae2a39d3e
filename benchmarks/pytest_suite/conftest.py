"""The cases as pytest parameters, each group of them measured once per session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.cases import Case
from benchmarks.measure import Outcome, measure_cases
from benchmarks.provenance import surroundings
from benchmarks.sizes import selected_size_set


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``case`` for every case of the size set."""
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", selected_size_set().cases(), ids=_name)


def pytest_benchmark_update_machine_info(
    config: pytest.Config,  # pytest passes by name
    machine_info: dict[str, object],
) -> None:
    """Add versions and the thread count to what pytest-benchmark writes about the machine."""
    machine_info |= {key: value for key, value in surroundings().items() if key not in machine_info}


def _name(case: Case) -> str:
    return (
        f"{case.problem}/{case.tableau}/{case.size}/{case.steps}/{case.method}/{case.checkpoints}"
    )


@pytest.fixture(scope="session")
def measured() -> Callable[[Case], Outcome]:
    """Return a function from a case to its figures, measured with its problem's other cases."""
    outcomes: dict[Case, Outcome] = {}

    def measured_case(case: Case) -> Outcome:
        if case not in outcomes:
            outcomes.update(measure_cases(selected_size_set().cases(case.problem)))
        return outcomes[case]

    return measured_case
