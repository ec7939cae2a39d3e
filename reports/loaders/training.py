"""Reader of trainings: ``<folder>/<machine>/training/*.json``, written by ``benchmarks train``."""

from collections.abc import Mapping
from pathlib import Path

from reports.loaders.parse import (
    UnreadableFileError,
    as_count,
    as_date,
    as_mapping,
    as_number,
    as_text,
    read_object,
)
from reports.records import Curve, CurvePoint, Loaded, Training

_SCHEMA = 1


def load_trainings(folder: Path) -> Loaded:
    """Read every training of a results folder.

    Returns
    -------
    Loaded
        A training for each file that could be read, a warning for each that could not.
    """
    trainings, warnings = [], []
    for file in sorted(folder.glob("*/training/*.json")):
        try:
            trainings.append(_load(file))
        except UnreadableFileError as error:
            warnings.append(str(error))
    return Loaded(warnings=tuple(warnings), trainings=tuple(trainings))


def _load(file: Path) -> Training:
    data = read_object(file)
    curves = data.get("curves")
    if data.get("schema") != _SCHEMA or not isinstance(curves, list):
        raise UnreadableFileError(f"{file.as_posix()}: not a training of schema {_SCHEMA}")
    return Training(
        machine=as_text(data.get("machine")) or file.parent.parent.name,
        task=as_text(data.get("task")) or file.stem,
        data=as_text(data.get("data")) or "",
        network=as_text(data.get("network")) or "network not recorded",
        commit=as_text(as_mapping(data.get("conditions")).get("commit")) or "unknown",
        file=file.as_posix(),
        seed=as_count(data.get("seed")) or 0,
        settings=_settings(data),
        curves=tuple(_curve(as_mapping(curve)) for curve in curves),
        date=as_date(data.get("date")),
    )


def _settings(data: Mapping[str, object]) -> dict[str, str]:
    """Tell what each discretization is."""
    found = {}
    for name, given in as_mapping(data.get("tolerances")).items():
        told = as_mapping(given)
        found[name] = f"{as_text(told.get('tableau'))}, rtol {as_text(told.get('rtol'))}"
    grid = as_mapping(data.get("grid"))
    if grid:
        found["grid"] = f"{as_text(grid.get('tableau'))}, {as_text(grid.get('num_steps'))} steps"
    return found


def _curve(data: Mapping[str, object]) -> Curve:
    points = data.get("points")
    failure = (as_text(data.get("failure")) or "").splitlines()
    return Curve(
        method=as_text(data.get("method")) or "unnamed",
        setting=as_text(data.get("setting")) or "",
        dtype=as_text(data.get("dtype")) or "",
        points=tuple(map(_point, points)) if isinstance(points, list) else (),
        failure=failure[-1] if failure else "",
    )


def _point(given: object) -> CurvePoint:
    data = as_mapping(given)
    counts = [_number(data.get(name)) for name in ("nfe_forward", "nfe_backward")]
    return CurvePoint(
        iteration=as_count(data.get("iteration")) or 0,
        wall_seconds=_number(data.get("wall_seconds")),
        num_evaluations=None if None in counts else sum(count or 0.0 for count in counts),
        held_out_loss=_number(data.get("held_out_loss")),
        gradient_error=_number(data.get("relative_step_gradient_error")),
    )


def _number(value: object) -> float | None:
    try:
        return as_number(value)
    except TypeError:
        return None
