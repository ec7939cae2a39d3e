"""Reader of asv's result files, version 2 (https://asv.readthedocs.io, "Developer docs").

``<folder>/<machine>/<commit8>-<environment>.json`` holds, for each benchmark, a flat list of
results over the product of its parameters: null is failed, NaN is skipped. Parameters are stored
as ``repr``. The optional ``<machine>/provenance/<same name>`` tells versions and threads.
"""

import ast
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.loaders.parse import (
    Cells,
    UnreadableFileError,
    add_column,
    as_count,
    as_date,
    as_key,
    as_mapping,
    as_problems,
    as_text,
    is_case,
    read_object,
)
from reports.records import CASE_FIELDS, Case, Environment, Loaded, Run

_PREFIX = "track_"
_THREADS = "num_threads"
_VERSION = 2
_PROVENANCE_SCHEMA = 1
_MACHINE = "machine.json"


def load_asv(folder: Path) -> Loaded:
    """Read every result file of a results folder (asv.conf.json's ``results_dir``).

    Parameters
    ----------
    folder : Path
        It holds one folder for each machine.

    Returns
    -------
    Loaded
        A run for each file that could be read, a warning for each that could not.
    """
    if not folder.is_dir():
        return Loaded()
    warnings: list[str] = []
    names = _parameter_names(folder / "benchmarks.json", warnings)
    runs: list[Run] = []
    for file in sorted(folder.glob("*/*.json")):
        if file.name == _MACHINE:
            warnings += _damage(file)
            continue
        try:
            runs.append(_load_run(file, names, warnings))
        except UnreadableFileError as error:
            warnings.append(str(error))
    return Loaded(tuple(runs), tuple(warnings))


def _damage(machine: Path) -> list[str]:
    """Say what is wrong with a machine's file: asv needs it; here, result files say the same."""
    try:
        read_object(machine)
    except UnreadableFileError as error:
        return [f"{error}; its results are read all the same, asv publish needs it: asv machine"]
    return []


def _parameter_names(file: Path, warnings: list[str]) -> dict[str, tuple[str, ...]]:
    """Names of each benchmark's parameters, as far as ``benchmarks.json`` knows them.

    It holds the benchmarks of the last ``asv run`` only; a benchmark it does not know is taken to
    have the six parameters of a case, in their order.
    """
    if not file.is_file():
        return {}
    try:
        data = read_object(file)
    except UnreadableFileError as error:
        warnings.append(str(error))
        return {}
    names = {}
    for benchmark, description in data.items():
        listed = as_mapping(description).get("param_names")
        if isinstance(listed, list):
            names[benchmark] = tuple(str(name) for name in listed)
    return names


@dataclass(frozen=True)
class _Benchmark:
    """One entry of a result file: its flat results and the values of its parameters."""

    results: Sequence[object]
    params: tuple[tuple[str, ...], ...]
    started_at: object


def _load_run(file: Path, names: Mapping[str, tuple[str, ...]], warnings: list[str]) -> Run:
    data = read_object(file)
    columns, results = data.get("result_columns"), data.get("results")
    if data.get("version") != _VERSION or not isinstance(results, dict) or not columns:
        raise UnreadableFileError(
            f"{file.as_posix()}: not an asv result file of version {_VERSION}"
        )
    cells, threads, started = Cells(), None, []
    suites: dict[str, set[str]] = {}
    for benchmark, entry in results.items():
        leaf = benchmark.rpartition(".")[2]
        if not leaf.startswith(_PREFIX):
            continue
        meter = leaf.removeprefix(_PREFIX)
        try:
            parsed = _parse_entry(columns, entry)
            if meter == _THREADS:
                threads = _first_count(parsed.results)
                continue
            cases = _cases(names.get(benchmark, CASE_FIELDS), parsed.params)
            add_column(cells.cells(cases), meter, parsed.results)
        except (TypeError, ValueError) as error:
            warnings.append(f"{file.as_posix()}: {benchmark} is left out ({error})")
            continue
        started.append(as_date(parsed.started_at))
        for problem in {case.configuration.problem for case in cases}:
            suites.setdefault(problem, set()).add(benchmark.rpartition(".")[0])
    provenance = _provenance(file.parent / "provenance" / file.name, warnings)
    return Run(
        tool="asv",
        file=file.as_posix(),
        commit=as_text(data.get("commit_hash")) or "unknown",
        environment=_environment(file, data, threads, provenance),
        measurements=cells.measurements(),
        date=as_date(data.get("date")),
        measured=max((date for date in started if date is not None), default=None),
        suites={problem: tuple(sorted(names)) for problem, names in sorted(suites.items())},
        problems=as_problems(provenance),
    )


def _parse_entry(columns: object, entry: object) -> _Benchmark:
    """Name the columns of an entry; asv drops trailing ones, and all but the result of a failure.

    Raises
    ------
    TypeError, ValueError
        The entry is not one of asv's.
    """
    if entry is None:
        raise ValueError("it has no parameters: it failed before any case was known")
    if not isinstance(entry, list) or not isinstance(columns, list):
        raise TypeError(f"an entry is a list, not {type(entry).__name__}")
    named = dict(zip(columns, entry, strict=False))
    params = named.get("params") or []
    if not isinstance(params, list) or not all(isinstance(values, list) for values in params):
        raise TypeError("its parameters are not lists of values")
    quoted = tuple(tuple(str(value) for value in values) for values in params)
    size = math.prod(map(len, quoted))
    results = named.get("result")
    if results is None:
        # The benchmark failed as a whole (its setup_cache raised, or it ran out of time).
        results = [None] * size
    if not isinstance(results, list) or len(results) != size:
        raise ValueError(f"its results are not the {size} that its parameters ask for")
    return _Benchmark(results, quoted, named.get("started_at"))


def _unquote(text: str) -> int | str:
    """Undo the ``repr`` that asv stores; text that is no literal stays as it is."""
    try:
        return as_key(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


@functools.lru_cache(maxsize=4096)
def _cases(names: tuple[str, ...], params: tuple[tuple[str, ...], ...]) -> tuple[Case, ...]:
    """Cases of a benchmark, in the order of its results; the same for every meter and commit."""
    if len(names) != len(params) or not is_case(dict.fromkeys(names)):
        raise ValueError(f"its parameters are not those of a case: {', '.join(CASE_FIELDS)}")
    values = [[_unquote(text) for text in texts] for texts in params]
    return tuple(
        Case.from_fields(dict(zip(names, combination, strict=True)))
        for combination in itertools.product(*values)
    )


def _first_count(results: Sequence[object]) -> int | None:
    return next((count for count in map(as_count, results) if count is not None), None)


def _environment(
    file: Path,
    data: Mapping[str, object],
    threads: int | None,
    provenance: Mapping[str, object],
) -> Environment:
    """Facts of the machine, from the result file, completed by the provenance file beside it."""
    params = as_mapping(data.get("params"))
    packages = dict(as_mapping(data.get("requirements")))
    packages.update(as_mapping(provenance.get("packages")))
    python = as_text(provenance.get("python")) or as_text(data.get("python"))
    return Environment(
        machine=as_text(params.get("machine")) or file.parent.name,
        cpu=as_text(provenance.get("cpu")) or as_text(params.get("cpu")),
        gpu=as_text(provenance.get("gpu")),
        num_cpu=as_count(params.get("num_cpu")),
        ram_bytes=as_count(params.get("ram")),
        os=as_text(params.get("os")),
        arch=as_text(params.get("arch")),
        # In an existing environment asv stores the interpreter's path in place of its version.
        python=python if python and python[0].isdecimal() else None,
        packages=tuple(sorted((name, as_text(v) or "any") for name, v in packages.items())),
        num_threads=threads if threads is not None else as_count(provenance.get("num_threads")),
    )


def _provenance(file: Path, warnings: list[str]) -> Mapping[str, object]:
    if not file.is_file():
        return {}
    try:
        provenance = read_object(file)
    except UnreadableFileError as error:
        warnings.append(str(error))
        return {}
    is_complete = isinstance(provenance.get("packages"), dict)
    if not is_complete or provenance.get("schema") != _PROVENANCE_SCHEMA:
        warnings.append(
            f"{file.as_posix()}: no conditions of a run, of schema {_PROVENANCE_SCHEMA}; "
            "the results that it belongs to are read all the same"
        )
        return {}
    return provenance
