"""Two commits compared by asv's result files: exact meters only, machine by machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from reports.loaders import load_asv
from reports.records import Run
from reports.tolerances import Threshold

from .verdicts import Row, Status, compare_exact


class RecordedError(ValueError):
    """No machine has results of both commits; the message says what there is."""


def compare_recorded(
    folders: Sequence[Path], base: str, head: str, thresholds: Mapping[str, Threshold]
) -> tuple[list[Row], list[str]]:
    """Compare what every machine has of both commits.

    Parameters
    ----------
    folders : sequence of Path
        asv results folders.
    base, head : str
        Full hashes.
    thresholds : mapping from metric to Threshold

    Returns
    -------
    list of Row
    list of str
        What could not be read or compared.

    Raises
    ------
    RecordedError
    """
    runs: list[Run] = []
    notes: list[str] = []
    for folder in folders:
        loaded = load_asv(folder)
        runs += loaded.runs
        notes += loaded.warnings
    rows: list[Row] = []
    by_place: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        place = (run.environment.machine, Path(run.file).stem.partition("-")[2])
        by_place.setdefault(place, {})[run.commit] = run
    for (machine, environment), its_runs in by_place.items():
        if base in its_runs and head in its_runs:
            rows += _compare_runs(f"{machine}: ", its_runs[base], its_runs[head], thresholds)
        elif base in its_runs or head in its_runs:
            there, missing = (base, head) if base in its_runs else (head, base)
            notes.append(
                f"{machine}, {environment}: has results of {there[:8]}, but not of {missing[:8]}"
            )
    if not rows:
        known = ", ".join(sorted({run.commit[:8] for run in runs})) or "no commit"
        said = "".join(f"\n  {note}" for note in notes)
        raise RecordedError(
            f"no machine has results of both {base[:8]} and {head[:8]}; there are results of "
            f"{known}. Run asv for both.{said}"
        )
    return rows, notes


def _compare_runs(
    prefix: str, base: Run, head: Run, thresholds: Mapping[str, Threshold]
) -> Iterable[Row]:
    before = {each.case: each for each in base.measurements}
    after = {each.case: each for each in head.measurements}
    for case in dict.fromkeys((*before, *after)):
        name = prefix + "/".join(map(str, case.fields()))
        old, new = before.get(case), after.get(case)
        if old is None or new is None:
            side = "head" if new is None else "base"
            note = f"the {side} has no such benchmark: renamed, or not run"
            yield Row(name, "", Status.SAME, note=note)
        elif new.failed and not old.failed:
            note = f"measured on the base, failed on the head: {', '.join(sorted(new.failed))}"
            yield Row(name, "", Status.BROKEN, note=note)
        else:
            yield from compare_exact(name, old.values, new.values, thresholds)
