"""pytest-benchmark's files: meters in ``extra_info``, and what is not pytest-benchmark's."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reports.loaders import load_pytest_benchmark
from tests.reports.invented import COMMIT, case, meters, write_pytest_benchmark


def test_every_meter_of_every_case(tmp_path: Path) -> None:
    cases = [case(), case(method="symadj-stages", steps=40)]
    file = write_pytest_benchmark(tmp_path / "run.json", cases)

    loaded = load_pytest_benchmark(file)

    assert loaded.warnings == ()
    (run,) = loaded.runs
    for measurement, named in zip(run.measurements, cases, strict=True):
        assert measurement.case.fields() == tuple(named.values())
        expected = {k: v for k, v in meters(named).items() if v is not None and not math.isnan(v)}
        assert measurement.values == expected


def test_the_machine_and_the_commit(tmp_path: Path) -> None:
    file = write_pytest_benchmark(tmp_path / "run.json", [case()])

    (run,) = load_pytest_benchmark(file).runs

    assert (run.tool, run.commit, run.is_dirty) == ("pytest-benchmark", COMMIT, True)
    assert run.date == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert run.measured == datetime(2023, 11, 15, 8, tzinfo=UTC)
    place = run.environment
    assert (place.machine, place.cpu, place.python) == ("invented", "Invented CPU", "3.11.7")
    assert (place.num_cpu, place.num_threads) == (2, 2)


def test_null_is_failed_and_nan_was_not_measured(tmp_path: Path) -> None:
    def values(_: object) -> dict[str, float | None]:
        return {"wall_seconds": None, "nvjp": math.nan, "nfe_forward": 4.0}

    file = write_pytest_benchmark(tmp_path / "run.json", [case()], values)

    ((measurement,),) = [run.measurements for run in load_pytest_benchmark(file).runs]

    assert measurement.failed == {"wall_seconds"}
    assert measurement.values == {"nfe_forward": 4.0}


def test_a_benchmark_without_a_case_is_left_out_by_name(tmp_path: Path) -> None:
    incomplete = {name: value for name, value in case().items() if name != "tableau"}
    file = write_pytest_benchmark(
        tmp_path / "run.json", [incomplete, case()], lambda _: {"nvjp": 1.0}
    )

    loaded = load_pytest_benchmark(file)

    assert len(loaded.runs[0].measurements) == 1
    assert "pytest_suite/test_cases.py::test_case[0] is left out" in loaded.warnings[0]


@pytest.mark.parametrize(
    "content", ['{"machine_info"', "[]", "{}", json.dumps({"benchmarks": 3, "machine_info": {}})]
)
def test_a_file_that_is_not_pytest_benchmarks_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(content, encoding="utf-8")

    loaded = load_pytest_benchmark(file)

    assert loaded.runs == ()
    assert file.as_posix() in loaded.warnings[0]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    loaded = load_pytest_benchmark(tmp_path / "absent.json")

    assert "absent.json: cannot be read" in loaded.warnings[0]
