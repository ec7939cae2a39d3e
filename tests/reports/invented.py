"""Writes result files in the tools' own formats. Every number in them is INVENTED and round."""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reports.loaders import load_asv
from reports.summaries import Summary, summarize

CASE_FIELDS = ("problem", "method", "tableau", "size", "steps", "checkpoints")
METHODS = (
    "symadj",
    "symadj-stages",
    "torchdiffeq-backprop",
    "torchdiffeq-adjoint",
    "checkpoint-solve",
    "checkpoint-step",
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DATE = 1_700_000_000_000  # milliseconds since 1970: 2023-11-14 22:13 UTC

# Multiples of the base, per method: (time, memory).
RATIOS = {
    "symadj": (1.5, 0.125),
    "symadj-stages": (1.0, 0.25),
    "torchdiffeq-backprop": (1.0, 1.0),
    "torchdiffeq-adjoint": (2.0, 0.5),
    "checkpoint-solve": (1.4, 1.0),
    "checkpoint-step": (1.25, 0.375),
}
# The same for what symadj keeps, if that was chosen: more of it takes less time and more memory.
SETTINGS: dict[int | str, tuple[float, float]] = {
    1: (6.0, 0.03125),
    4: (3.0, 0.0625),
    16: (2.0, 0.09375),
    "states": (1.5, 0.125),
    "graphs": (1.25, 0.1875),
    "stages": (1.0, 0.25),
}
REPLAYED = {1: 1225.0, 4: 98.0, 16: 34.0}
STEP_ERRORS = {"torchdiffeq-adjoint": 1e-3, "torchdiffeq-backprop": 0.0}

Fields = Mapping[str, int | str]
Values = Mapping[str, float | None]


def meters(case: Fields) -> dict[str, float | None]:
    """Invented meters of a case; work grows with the tableau, the size and the steps."""
    kept = case["checkpoints"]
    usual = RATIOS.get(str(case["method"]), (3.0, 2.0))
    time, memory = SETTINGS.get(kept, usual)
    stages = {"heun2": 2, "bosh3": 3, "dopri5": 6, "dopri8": 13}.get(str(case["tableau"]), 4)
    steps = case["steps"] if isinstance(case["steps"], int) else 20
    widths = [int(w) for w in str(case["size"]).split()[0].split("-") if w.isdecimal()]
    weights = sum(a * b for a, b in itertools.pairwise(widths)) or 1000
    work = stages * steps * weights
    seconds, peak = time * work * 1e-8, memory * work * 16
    return {
        "wall_seconds": seconds,
        "wall_seconds_forward": seconds * 0.25,
        "wall_seconds_backward": seconds * 0.75,
        "wall_seconds_q25": seconds * 0.95,
        "wall_seconds_q75": seconds * 1.1,
        "wall_ratio": time,
        "wall_ratio_low": time * 0.96,
        "wall_ratio_high": time * 1.04,
        "seconds_per_sample": seconds / 100,
        "peak_cpu_bytes": peak,
        "peak_gpu_bytes": math.nan,
        "nfe_forward": float(stages * steps),
        "nfe_backward": float(2 * stages * steps),
        "nvjp": float(stages * steps),
        "num_accepted": float(steps),
        "num_rejected": 2.0,
        "num_replayed_steps": REPLAYED.get(kept, 0.0) if isinstance(kept, int) else 0.0,
        "relative_gradient_error": 1e-1 / 10**stages,
        "relative_step_gradient_error": STEP_ERRORS.get(str(case["method"]), 1e-7),
    }


def write_asv(
    folder: Path,
    classes: Mapping[str, Mapping[str, Sequence[int | str]]],
    *,
    machine: str = "invented",
    commit: str = COMMIT,
    date: int = DATE,
    values: Callable[[Fields], Values] = meters,
    num_threads: int | None = 2,
    environment: str = "existing-py",
) -> Path:
    """Write a results folder as asv does.

    Parameters
    ----------
    folder : Path
        asv's ``results_dir``.
    classes : mapping
        Name of a suite class to its parameters: field of a case to values. Every combination is a
        cell, as in asv.
    machine, commit, date, environment
        What the result file says of itself.
    values : callable
        Meters of a case; None is a failure, NaN is skipped.
    num_threads : int or None
        Written as a ``track_num_threads`` of each class, unless None.

    Returns
    -------
    Path
        The result file.
    """
    results: dict[str, object] = {}
    described: dict[str, object] = {"version": 2}
    for name, fields in classes.items():
        params = [[repr(value) for value in fields[field]] for field in CASE_FIELDS]
        cases = [
            dict(zip(CASE_FIELDS, combination, strict=True))
            for combination in itertools.product(*(fields[field] for field in CASE_FIELDS))
        ]
        table = [dict(values(case)) for case in cases]
        columns = {meter: [row[meter] for row in table] for meter in table[0]}
        if num_threads is not None:
            columns["num_threads"] = [float(num_threads)] * len(cases)
        for meter, column in columns.items():
            key = f"suites.{name.lower()}.{name}.track_{meter}"
            results[key] = [column, params, "1", DATE + 60_000, 0.5]
            described[key] = {"name": key, "param_names": list(CASE_FIELDS), "params": params}
    home = folder / machine
    home.mkdir(parents=True, exist_ok=True)
    _write(folder / "benchmarks.json", described)
    about = {
        "arch": "x86_64",
        "cpu": "Invented CPU",
        "machine": machine,
        "num_cpu": "2",
        "os": "Linux",
        "ram": str(8 * 2**30),
    }
    _write(home / "machine.json", {**about, "version": 1})
    file = home / f"{commit[:8]}-{environment}.json"
    _write(
        file,
        {
            "commit_hash": commit,
            "env_name": environment,
            "date": date,
            "params": {**about, "python": "/somewhere/python"},
            "python": "/somewhere/python",
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version", "started_at", "duration"],
            "results": results,
            "durations": {},
            "version": 2,
        },
    )
    return file


def write_provenance(result_file: Path, **changes: object) -> Path:
    """Write the provenance file of a result file."""
    file = result_file.parent / "provenance" / result_file.name
    file.parent.mkdir(exist_ok=True)
    content = {
        "schema": 1,
        "commit": COMMIT,
        "date": "2023-11-14T22:13:20+00:00",
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "torchdiffeq": "0.2.5"},
        "num_threads": 2,
        "cpu": "Invented CPU, 2 cores",
        "gpu": None,
    }
    _write(file, content | changes)
    return file


def write_pytest_benchmark(
    file: Path, cases: Sequence[Fields], values: Callable[[Fields], Values] = meters
) -> Path:
    """Write a file as ``pytest --benchmark-json`` does."""
    benchmarks = [
        {
            "group": None,
            "name": "test_case",
            "fullname": f"pytest_suite/test_cases.py::test_case[{number}]",
            "params": {},
            "extra_info": {**case, **values(case), "num_threads": 2},
            "options": {"min_rounds": 5},
            "stats": {"median": 0.1, "rounds": 5},
        }
        for number, case in enumerate(cases)
    ]
    _write(
        file,
        {
            "machine_info": {
                "node": "invented",
                "machine": "x86_64",
                "python_version": "3.11.7",
                "system": "Linux",
                "release": "6.1",
                "cpu": {"count": 2, "brand_raw": "Invented CPU"},
            },
            "commit_info": {"id": COMMIT, "time": "2023-11-14T22:13:20+00:00", "dirty": True},
            "benchmarks": benchmarks,
            "datetime": "2023-11-15T08:00:00+00:00",
            "version": "5.3.1",
        },
    )
    return file


def case(**changes: int | str) -> dict[str, int | str]:
    """Fields of one case."""
    values = ("kdv", "symadj", "dopri5", "8-8 batch 2", "adaptive", "default")
    return dict(zip(CASE_FIELDS, values, strict=True)) | changes


def fields(
    problem: str,
    *,
    methods: Sequence[str] = METHODS,
    tableaus: Sequence[str] = ("dopri5",),
    sizes: Sequence[str] = ("8-8 batch 2",),
    steps: Sequence[int | str] = ("adaptive",),
    checkpoints: Sequence[int | str] = ("default",),
) -> dict[str, Sequence[int | str]]:
    """Parameters of a suite class: every combination of them is a cell."""
    values = ([problem], methods, tableaus, sizes, steps, checkpoints)
    return dict(zip(CASE_FIELDS, values, strict=True))


def dial_classes(
    *, steps: Sequence[int | str] = (50,), methods: Sequence[str] = METHODS[2:]
) -> dict[str, dict[str, Sequence[int | str]]]:
    """Classes of the dial: every setting of symadj, and other methods beside them."""
    size = ("16 points 2 channels batch 2",)
    return {
        "KdvCheckpoints": fields(
            "kdv-checkpoints",
            methods=("symadj",),
            sizes=size,
            steps=steps,
            checkpoints=tuple(SETTINGS),
        ),
        "KdvCheckpointsPeers": fields("kdv-checkpoints", methods=methods, sizes=size, steps=steps),
    }


ALL_PROBLEMS: dict[str, dict[str, Sequence[int | str]]] = {
    "DigitsClassifier": fields("digits-classifier", sizes=("64-64-64-64 batch 256",)),
    "DigitsCnf": fields("digits-cnf", sizes=("64-128-64 batch 64",)),
    "Kdv": fields("kdv", tableaus=("dopri8",), sizes=("conv 16 batch 8",)),
    "Unheard": fields("unheard-of", methods=(*METHODS, "method-x"), sizes=("5-5 batch 1",)),
    "MlpOrder": fields(
        "mlp-order",
        tableaus=("heun2", "bosh3", "dopri5", "dopri8"),
        sizes=("43-86-43 batch 10",),
    ),
    "MlpSize": fields(
        "mlp-size", sizes=("2-50-2 batch 20", "64-64-64-64 batch 256", "43-860-860-43 batch 100")
    ),
    "MlpSteps": fields("mlp-steps", sizes=("64-64 batch 32",), steps=(10, 40, 160)),
    "MlpCheckpoints": fields(
        "mlp-checkpoints",
        sizes=("64-64 batch 32",),
        steps=(40,),
        checkpoints=("default", "states", "stages"),
    ),
    **dial_classes(),
}


def plausible(case: Fields) -> Values:
    """Meters with what real results have: skipped cells, a failure, a divergence."""
    values = meters(case)
    if case["problem"] == "mlp-checkpoints" and (
        (case["method"] == "symadj") == (case["checkpoints"] == "default")
    ):
        return dict.fromkeys(values, math.nan)
    if case["problem"] == "digits-cnf" and case["method"] == "checkpoint-step":
        return dict.fromkeys(values)
    if case["problem"] == "kdv" and case["method"] == "torchdiffeq-adjoint":
        return {**values, "relative_gradient_error": math.inf}
    return values


def left_out(case: Fields) -> Values:
    """Meters of a case that was not run, for the steps that it would replay."""
    return dict.fromkeys(meters(case), math.nan) | {"num_replayed_steps": 12_497_500.0}


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1), encoding="utf-8")


def summary_of(
    folder: Path,
    classes: Mapping[str, Mapping[str, Sequence[int | str]]],
    values: Callable[[Fields], Values] = meters,
) -> Summary:
    """Summary of the one run of a results folder that is written for it."""
    write_asv(folder, classes, values=values)
    (run,) = load_asv(folder).runs
    return summarize(run)


def write_history(
    folder: Path,
    commits: Sequence[str],
    classes: Mapping[str, Mapping[str, Sequence[int | str]]] = ALL_PROBLEMS,
    *,
    machine: str = "invented",
) -> None:
    """Write a run for each commit: noise in every time, and three planted changes.

    From three fifths of the way on symadj takes a quarter more time; from two fifths on a half less
    memory on the flows; at the last commit it evaluates f once more.
    """
    for number, commit in enumerate(commits):
        share = (number + 1) / len(commits)
        noise = 1 + 0.01 * math.sin(7 * number)

        def values(
            case: Fields, number: int = number, share: float = share, noise: float = noise
        ) -> Values:
            known = dict(plausible(case))
            factor = noise * (1.25 if case["method"] == "symadj" and share > 0.6 else 1)
            for name, value in known.items():
                if name.startswith("wall") and value is not None and case["method"] != METHODS[2]:
                    known[name] = value * factor
            peak, nfe = known["peak_cpu_bytes"], known["nfe_backward"]
            if "cnf" in str(case["problem"]) and case["method"] == "symadj" and peak is not None:
                known["peak_cpu_bytes"] = peak * (0.5 if share > 0.4 else 1)
            if case["method"] == "symadj" and nfe is not None:
                known["nfe_backward"] = nfe + (number == len(commits) - 1)
            return known

        write_asv(
            folder,
            classes,
            machine=machine,
            commit=commit,
            date=DATE + number * 86_400_000,
            values=values,
        )


def write_many(folder: Path, num_commits: int) -> int:
    """Write a long history of many cases quickly; return how many measurements it holds.

    Ten problems by ten methods by five tableaus at every commit; the times drift.
    """
    methods = (*METHODS, *(f"method-{letter}" for letter in "abcd"))
    tableaus = ("heun2", "bosh3", "rk4", "dopri5", "dopri8")
    classes = {
        f"P{number}": fields(f"problem-{number}", methods=methods, tableaus=tableaus)
        for number in range(10)
    }
    first = write_asv(folder, classes)
    content = json.loads(first.read_text(encoding="utf-8"))
    first.unlink()
    for number in range(num_commits):
        commit = f"{number:08x}" * 5
        content |= {"commit_hash": commit, "date": DATE + number * 3_600_000}
        for name, entry in content["results"].items():
            if "wall" in name:
                entry[0] = [value * (1 + 0.001 * (number % 7)) for value in entry[0]]
        (first.parent / f"{commit[:8]}-existing-py.json").write_text(
            json.dumps(content), encoding="utf-8"
        )
    return num_commits * len(classes) * len(methods) * len(tableaus)
