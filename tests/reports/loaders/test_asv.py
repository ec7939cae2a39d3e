"""asv's result files: values, failures, skipped cells, and what is not asv's."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reports.loaders import load_asv
from reports.records import Case
from tests.reports.invented import (
    COMMIT,
    Fields,
    Values,
    case,
    fields,
    meters,
    write_asv,
    write_provenance,
)


def _edit(file: Path, **changes: object) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | changes), encoding="utf-8")


def _edit_results(file: Path, **changes: object) -> None:
    """Replace the entries of benchmarks whose name ends in a keyword."""
    results = json.loads(file.read_text(encoding="utf-8"))["results"]
    for name in list(results):
        leaf = name.rpartition(".")[2]
        if leaf in changes:
            results[name] = changes[leaf]
    _edit(file, results=results)


def test_every_value_lands_on_its_own_case(tmp_path: Path) -> None:
    parameters = fields("kdv", tableaus=("bosh3", "dopri5"), steps=(10, "adaptive"))
    write_asv(tmp_path, {"Kdv": parameters})

    loaded = load_asv(tmp_path)

    assert loaded.warnings == ()
    (run,) = loaded.runs
    assert len(run.measurements) == 6 * 2 * 2
    for measurement in run.measurements:
        named = dict(zip(fields("kdv"), measurement.case.fields(), strict=True))
        expected = {k: v for k, v in meters(named).items() if v is not None and not math.isnan(v)}
        assert measurement.values == expected
        assert not measurement.failed


def test_parameters_keep_their_type(tmp_path: Path) -> None:
    write_asv(tmp_path, {"Kdv": fields("kdv", steps=(10, "adaptive"), checkpoints=(4, "states"))})

    (run,) = load_asv(tmp_path).runs

    assert {m.case.configuration.steps for m in run.measurements} == {10, "adaptive"}
    assert {m.case.checkpoints for m in run.measurements} == {4, "states"}


def test_null_is_failed_nan_is_skipped_infinity_is_a_value(tmp_path: Path) -> None:
    def values(_: object) -> Values:
        return {**meters(case()), "wall_seconds": None, "nvjp": math.nan, "nfe_forward": math.inf}

    write_asv(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))}, values=values)

    ((measurement,),) = [run.measurements for run in load_asv(tmp_path).runs]

    assert measurement.failed == {"wall_seconds"}
    assert "nvjp" not in measurement.values
    assert measurement.value("nfe_forward") == math.inf
    assert measurement.value("wall_seconds") is None


def test_a_case_that_was_skipped_altogether_is_no_measurement(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        known = meters(case())
        return known if named["method"] == "symadj" else dict.fromkeys(known, math.nan)

    write_asv(tmp_path, {"Kdv": fields("kdv")}, values=values)

    (run,) = load_asv(tmp_path).runs

    assert [m.case.method for m in run.measurements] == ["symadj"]


def test_a_benchmark_that_failed_as_a_whole_fails_every_case(tmp_path: Path) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv", methods=("symadj", "symadj-stages"))})
    params = [["'kdv'"], ["'symadj'", "'symadj-stages'"], *([["'x'"]] * 4)]
    _edit_results(file, track_nvjp=[None, params])

    (run,) = load_asv(tmp_path).runs

    failed = [m.case.method for m in run.measurements if m.failed == {"nvjp"}]
    assert failed == ["symadj", "symadj-stages"]


def test_the_machine_the_commit_and_the_dates(tmp_path: Path) -> None:
    write_asv(tmp_path, {"Kdv": fields("kdv")}, num_threads=3)

    (run,) = load_asv(tmp_path).runs

    assert (run.tool, run.commit) == ("asv", COMMIT)
    assert run.date == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert run.measured == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)
    place = run.environment
    assert (place.machine, place.cpu, place.num_cpu) == ("invented", "Invented CPU", 2)
    assert place.ram_bytes == 8 * 2**30
    assert place.num_threads == 3
    assert place.python is None, "an interpreter's path is not a version"


def test_provenance_tells_versions(tmp_path: Path) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv")}, num_threads=None)
    write_provenance(file, num_threads=5, gpu="Invented GPU")

    place = load_asv(tmp_path).runs[0].environment

    assert place.packages == (("torch", "2.13.0"), ("torchdiffeq", "0.2.5"))
    assert (place.python, place.num_threads, place.gpu) == ("3.11.7", 5, "Invented GPU")
    assert place.cpu == "Invented CPU, 2 cores"


@pytest.mark.parametrize("text", ['{"version": 2}', '{"schema": 1}'])
def test_foreign_provenance_is_named_and_the_results_are_read(tmp_path: Path, text: str) -> None:
    file = write_provenance(write_asv(tmp_path, {"Kdv": fields("kdv")}))
    file.write_text(text)

    loaded = load_asv(tmp_path)

    assert loaded.runs[0].measurements
    (warning,) = loaded.warnings
    assert file.as_posix() in warning


def test_requirements_are_versions_where_there_is_no_provenance(tmp_path: Path) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv")})
    _edit(file, requirements={"torch": "2.13.0", "numpy": ""}, python="3.11")

    place = load_asv(tmp_path).runs[0].environment

    assert place.packages == (("numpy", "any"), ("torch", "2.13.0"))
    assert place.python == "3.11"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"commit_hash": "012', "not valid JSON"),
        ("", "not valid JSON"),
        ("[1, 2]", "not a JSON object but list"),
        ('{"hello": 1}', "not an asv result file"),
        ('{"version": 1, "results": {}, "result_columns": ["result"]}', "of version 2"),
        ('{"version": 2, "results": [], "result_columns": ["result"]}', "of version 2"),
        ("[" * 100_000, "not valid JSON"),
    ],
    ids=["truncated", "empty", "list", "foreign", "old", "no-results", "nested"],
)
def test_a_file_that_is_not_asvs_is_named_and_the_rest_is_read(
    tmp_path: Path, content: str, reason: str
) -> None:
    write_asv(tmp_path, {"Kdv": fields("kdv")})
    bad = tmp_path / "invented" / "0000bad0-env.json"
    bad.write_text(content, encoding="utf-8")

    loaded = load_asv(tmp_path)

    assert len(loaded.runs) == 1
    (warning,) = loaded.warnings
    assert bad.as_posix() in warning
    assert reason in warning


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    write_asv(tmp_path, {"Kdv": fields("kdv")})
    bad = tmp_path / "invented" / "0000bad0-env.json"
    bad.write_bytes(b"\xff\xfe\x00{")

    loaded = load_asv(tmp_path)

    assert len(loaded.runs) == 1
    assert len(loaded.warnings) == 1


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        [["text"], [["'kdv'"], ["'symadj'"], ["'a'"], ["'b'"], ["'c'"], ["'d'"]]],
        [[1.0, 2.0], [["'kdv'"], ["'symadj'"], ["'a'"], ["'b'"], ["'c'"], ["'d'"]]],
        [[1.0], [["'kdv'"]]],
        [[1.0], "kdv"],
        [[True], [["'kdv'"], ["'symadj'"], ["'a'"], ["'b'"], ["'c'"], ["'d'"]]],
    ],
    ids=["null", "text", "word-result", "too-many", "one-parameter", "no-list", "bool"],
)
def test_a_benchmark_that_is_no_case_is_left_out_by_name(tmp_path: Path, entry: object) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))})
    _edit_results(file, track_nvjp=entry)

    loaded = load_asv(tmp_path)

    ((measurement,),) = [run.measurements for run in loaded.runs]
    assert "nvjp" not in measurement.values
    assert measurement.value("nfe_forward") is not None
    (warning,) = loaded.warnings
    assert "suites.kdv.Kdv.track_nvjp is left out" in warning


def test_benchmarks_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv")})
    results = json.loads(file.read_text(encoding="utf-8"))["results"]
    _edit(file, results=results | {"suites.other.time_import": [[1.0], []]})

    assert load_asv(tmp_path).warnings == ()


def test_names_of_parameters_come_from_the_benchmarks_file(tmp_path: Path) -> None:
    file = write_asv(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))})
    order = ["method", "problem", "tableau", "size", "steps", "checkpoints"]
    params = [["'symadj'"], ["'kdv'"], ["'dopri5'"], ["'8-8 batch 2'"], ["'adaptive'"]]
    _edit_results(file, track_nvjp=[[7.0], [*params, ["'default'"]]])
    described = json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))
    described["suites.kdv.Kdv.track_nvjp"]["param_names"] = order
    (tmp_path / "benchmarks.json").write_text(json.dumps(described), encoding="utf-8")

    ((measurement,),) = [run.measurements for run in load_asv(tmp_path).runs]

    assert measurement.case == Case.from_fields(case())
    assert measurement.value("nvjp") == 7.0


def test_a_broken_benchmarks_file_costs_a_warning_only(tmp_path: Path) -> None:
    write_asv(tmp_path, {"Kdv": fields("kdv")})
    (tmp_path / "benchmarks.json").write_text("{", encoding="utf-8")

    loaded = load_asv(tmp_path)

    assert len(loaded.runs[0].measurements) == 6
    assert "benchmarks.json" in loaded.warnings[0]


def test_results_of_before_a_meter_was_there_are_read(tmp_path: Path) -> None:
    def values(named: Fields) -> Values:
        return {name: value for name, value in meters(named).items() if "replayed" not in name}

    write_asv(tmp_path, {"Kdv": fields("kdv")}, values=values)

    loaded = load_asv(tmp_path)

    assert loaded.warnings == ()
    for measurement in loaded.runs[0].measurements:
        assert measurement.value("num_replayed_steps") is None
        assert measurement.value("wall_seconds") is not None
        assert not measurement.is_left_out


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert load_asv(tmp_path / "absent").runs == ()
