"""Reader of pytest-benchmark's JSON (``--benchmark-json`` or ``--benchmark-autosave``).

A benchmark's ``extra_info`` holds the six fields of its case and every meter. pytest-benchmark's
own statistics are not used: they time whatever the test passed to the fixture.
"""

from collections.abc import Mapping
from pathlib import Path

from reports.loaders.parse import (
    Cells,
    UnreadableFileError,
    as_count,
    as_date,
    as_key,
    as_mapping,
    as_text,
    is_case,
    read_object,
)
from reports.records import CASE_FIELDS, Environment, Loaded, Run

_THREADS = "num_threads"


def load_pytest_benchmark(file: Path) -> Loaded:
    """Read one file.

    Parameters
    ----------
    file : Path
        JSON that pytest-benchmark wrote.

    Returns
    -------
    Loaded
        Its run, or the warning that says why there is none.
    """
    try:
        data = read_object(file)
    except UnreadableFileError as error:
        return Loaded(warnings=(str(error),))
    benchmarks = data.get("benchmarks")
    if not isinstance(benchmarks, list) or not isinstance(data.get("machine_info"), dict):
        return Loaded(warnings=(f"{file.as_posix()}: not a pytest-benchmark file",))
    warnings: list[str] = []
    cells, threads = Cells(), None
    for benchmark in map(as_mapping, benchmarks):
        info = as_mapping(benchmark.get("extra_info"))
        if not is_case(info):
            name = as_text(benchmark.get("fullname")) or "a benchmark without a name"
            warnings.append(
                f"{file.as_posix()}: {name} is left out (its extra_info lacks a field of a case: "
                f"{', '.join(CASE_FIELDS)})"
            )
            continue
        threads = threads or as_count(info.get(_THREADS))
        _add_meters(cells, info, file, warnings)
    commit = as_mapping(data.get("commit_info"))
    measured = as_date(data.get("datetime"))
    run = Run(
        tool="pytest-benchmark",
        file=file.as_posix(),
        commit=as_text(commit.get("id")) or "unknown",
        environment=_environment(as_mapping(data["machine_info"]), threads),
        measurements=cells.measurements(),
        date=as_date(commit.get("time")) or measured,
        measured=measured,
        is_dirty=commit.get("dirty") is True,
    )
    return Loaded((run,), tuple(warnings))


def _add_meters(cells: Cells, info: Mapping[str, object], file: Path, warnings: list[str]) -> None:
    fields = {name: as_key(info[name]) for name in CASE_FIELDS}
    for meter, value in info.items():
        if meter in CASE_FIELDS or meter == _THREADS:
            continue
        if isinstance(value, str | list | dict | bool):
            continue  # a remark of the suite's own, not a meter
        try:
            cells.add(fields, meter, value)
        except TypeError as error:
            warnings.append(f"{file.as_posix()}: {meter} is left out ({error})")


def _environment(machine: Mapping[str, object], threads: int | None) -> Environment:
    cpu = as_mapping(machine.get("cpu"))
    system = [as_text(machine.get(key)) for key in ("system", "release")]
    # Suites may add versions through pytest_benchmark_update_machine_info.
    packages = as_mapping(machine.get("packages"))
    return Environment(
        machine=as_text(machine.get("node")) or "unnamed",
        cpu=as_text(cpu.get("brand_raw")) or as_text(machine.get("processor")),
        gpu=as_text(machine.get("gpu")),
        num_cpu=as_count(cpu.get("count")),
        os=" ".join(part for part in system if part) or None,
        arch=as_text(machine.get("machine")),
        python=as_text(machine.get("python_version")),
        packages=tuple(sorted((name, as_text(v) or "any") for name, v in packages.items())),
        num_threads=threads if threads is not None else as_count(machine.get("num_threads")),
    )
