"""The cases as pytest parameters, each group of them measured once per session."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from benchmarks.cases import Case
from benchmarks.measure import Outcome, measure_cases
from benchmarks.methods import plug_in
from benchmarks.provenance import surroundings
from benchmarks.sizes import selected_size_set


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which a method of one's own takes part."""
    parser.addoption(
        "--method",
        action="append",
        default=[],
        metavar="package.module:function",
        help="a method of your own (docs/benchmark-your-solver.md); may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Plug the methods in, before the cases are listed."""
    for text in config.getoption("method"):
        plug_in(text)


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
def measured(request: pytest.FixtureRequest) -> Callable[[Case], Outcome]:
    """Return a function from a case to its figures, measured with its problem's other cases.

    With those that were selected, that is: what ``-k`` leaves out costs nothing.
    """
    chosen: list[Case] = [
        cast(Case, item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "case" in item.fixturenames
    ]
    outcomes: dict[Case, Outcome] = {}

    def measured_case(case: Case) -> Outcome:
        if case not in outcomes:
            outcomes.update(measure_cases([one for one in chosen if one.problem == case.problem]))
        return outcomes[case]

    return measured_case
