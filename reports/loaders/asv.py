"""Reader of asv's result files, version 2 (https://asv.readthedocs.io, "Developer docs").

``<folder>/<machine>/<commit8>-<environment>.json`` holds, for each benchmark, a flat list of
results over the product of its parameters: null is failed, NaN is skipped. Parameters are stored
as ``repr``. The optional ``<machine>/provenance/<same name>`` tells versions and threads.
"""

import ast
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.loaders.parse import (
    Cells,
    UnreadableFileError,
    as_count,
    as_date,
    as_key,
    as_mapping,
    as_number,
    as_text,
    is_case,
    read_object,
)
from reports.records import CASE_FIELDS, Environment, Loaded, Run

_PREFIX = "track_"
_THREADS = "num_threads"
_VERSION = 2


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
        if file.name == "machine.json":
            continue
        try:
            runs.append(_load_run(file, names, warnings))
        except UnreadableFileError as error:
            warnings.append(str(error))
    return Loaded(tuple(runs), tuple(warnings))


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
    params: tuple[tuple[object, ...], ...]
    started_at: object


def _load_run(file: Path, names: Mapping[str, tuple[str, ...]], warnings: list[str]) -> Run:
    data = read_object(file)
    columns, results = data.get("result_columns"), data.get("results")
    if data.get("version") != _VERSION or not isinstance(results, dict) or not columns:
        raise UnreadableFileError(
            f"{file.as_posix()}: not an asv result file of version {_VERSION}"
        )
    cells, threads, started = Cells(), None, []
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
            _add_cells(cells, meter, parsed, names.get(benchmark, CASE_FIELDS))
        except (TypeError, ValueError) as error:
            warnings.append(f"{file.as_posix()}: {benchmark} is left out ({error})")
            continue
        started.append(as_date(parsed.started_at))
    return Run(
        tool="asv",
        file=file.as_posix(),
        commit=as_text(data.get("commit_hash")) or "unknown",
        environment=_environment(file, data, threads, warnings),
        measurements=cells.measurements(),
        date=as_date(data.get("date")),
        measured=max((date for date in started if date is not None), default=None),
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
    unquoted = tuple(tuple(_unquote(value) for value in values) for values in params)
    size = 1
    for values in unquoted:
        size *= len(values)
    results = named.get("result")
    if results is None:
        # The benchmark failed as a whole (its setup_cache raised, or it ran out of time).
        results = [None] * size
    if not isinstance(results, list) or len(results) != size:
        raise ValueError(f"its results are not the {size} that its parameters ask for")
    return _Benchmark(results, unquoted, named.get("started_at"))


def _unquote(text: object) -> object:
    """Undo the ``repr`` that asv stores; text that is no literal stays as it is."""
    if not isinstance(text, str):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _first_count(results: Sequence[object]) -> int | None:
    return next((count for count in map(as_count, results) if count is not None), None)


def _add_cells(cells: Cells, meter: str, parsed: _Benchmark, names: tuple[str, ...]) -> None:
    if len(names) != len(parsed.params) or not is_case(dict.fromkeys(names)):
        raise ValueError(f"its parameters are not those of a case: {', '.join(CASE_FIELDS)}")
    for value in parsed.results:
        if value is not None:
            as_number(value)  # all or nothing: raises before the first cell is taken
    for combination, value in zip(itertools.product(*parsed.params), parsed.results, strict=True):
        cells.add(dict(zip(names, map(as_key, combination), strict=True)), meter, value)


def _environment(
    file: Path, data: Mapping[str, object], threads: int | None, warnings: list[str]
) -> Environment:
    """Facts of the machine, from the result file, completed by the provenance file beside it."""
    params = as_mapping(data.get("params"))
    provenance = _provenance(file.parent / "provenance" / file.name, warnings)
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
        return read_object(file)
    except UnreadableFileError as error:
        warnings.append(str(error))
        return {}
