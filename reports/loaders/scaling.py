"""Files of the scaling benchmark: ``<results>/<machine>/scaling/*.json``, schema 1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.loaders.parse import UnreadableFileError, read_object
from reports.process_records import ProcessCell, ProcessRun
from reports.records import Loaded

SCHEMA = 1


def load_scaling(folder: Path) -> Loaded:
    """Read every file in a results folder; a warning for each that cannot be read."""
    runs, warnings = [], []
    for file in sorted(folder.glob("*/scaling/*.json")):
        try:
            runs.append(_run(file))
        except UnreadableFileError as error:
            warnings.append(str(error))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            warnings.append(f"{file.as_posix()}: not as described ({error!r})")
    return Loaded(warnings=tuple(warnings), processes=tuple(runs))


def _run(file: Path) -> ProcessRun:
    data: Mapping[str, Any] = read_object(file)
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, and {SCHEMA} is read here")
    steps = f"{data['steps']} steps" if isinstance(data["steps"], int) else str(data["steps"])
    title = f"{data['problem']}, {data['size']}, {steps}, {data['method']} in {data['engine']}"
    return ProcessRun(
        file=file.as_posix(),
        title=title + (", the same steps" if data["sync_steps"] else ""),
        place=(
            f"{data['num_nodes']} × {data['gpu'] or data['cpu']} ({data['num_cpu']} cores), "
            f"{data['backend']}, commit {str(data['commit'])[:8]}"
        ),
        param_bytes=int(data["param_bytes"]),
        cells=tuple(map(_cell, data["cells"])),
    )


def _cell(data: Mapping[str, Any]) -> ProcessCell:
    ranks = data["ranks"]
    rounds = zip(
        *(
            [f + b for f, b in zip(r["seconds_forward"], r["seconds_backward"], strict=True)]
            for r in ranks
        ),
        strict=True,
    )
    counts = [rank["nfe"] for rank in ranks]
    return ProcessCell(
        mode=str(data["mode"]),
        world_size=int(data["world_size"]),
        batch_per_rank=int(data["batch_per_rank"]),
        seconds=tuple(float(max(slowest)) for slowest in rounds),
        peak_bytes=max(float(rank["peak_bytes"]) for rank in ranks),
        evaluations=() if None in counts else tuple(map(int, counts)),
        payload_bytes={str(k): int(v) for k, v in ranks[0]["payload_bytes"].items()},
    )
