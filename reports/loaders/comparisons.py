"""Tables of comparisons of two versions: ``<folder>/<machine>/compare/*.json``, schema 1."""

from pathlib import Path
from typing import Any

from reports.loaders.parse import UnreadableFileError, as_date, read_object
from reports.records import Loaded, VersionComparison

SCHEMA = 1


def load_comparisons(folder: Path) -> Loaded:
    """Read every file in a results folder; a warning for each that cannot be read."""
    found, warnings = [], []
    for file in sorted(folder.glob("*/compare/*.json")):
        try:
            found.append(_comparison(file))
        except UnreadableFileError as error:
            warnings.append(str(error))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            warnings.append(f"{file.as_posix()}: not as described ({error!r})")
    return Loaded(warnings=tuple(warnings), comparisons=tuple(found))


def _comparison(file: Path) -> VersionComparison:
    data: dict[str, Any] = read_object(file)
    if data["schema"] != SCHEMA:
        raise ValueError(f"schema {data['schema']!r}, and {SCHEMA} is read here")
    columns = tuple(map(str, data["columns"]))
    rows = [(str(row["status"]), tuple(map(str, row["cells"]))) for row in data["rows"]]
    if any(len(cells) != len(columns) for _, cells in rows):
        raise ValueError("a row has not as many cells as there are columns")
    return VersionComparison(
        base=str(data["base"]),
        head=str(data["head"]),
        place=str(data["place"]),
        date=as_date(data["date"]),
        verdict=str(data["verdict"]),
        columns=columns,
        rows=tuple(rows),
        notes=tuple(map(str, data["notes"])),
    )
