"""Rows of the page on several processes."""

from statistics import median

from reports.formats import NOT_MEASURED, format_bytes, format_ratio, format_seconds
from reports.process_records import ProcessCell, ProcessRun

COLUMNS = (
    *("Batch", "Processes", "Samples of each", "Seconds a step", "Time against one"),
    *("Evaluations of f by process", "Peak bytes of a process", "Communicated"),
)


def rows(run: ProcessRun) -> list[tuple[str, ...]]:
    """Return the cells of a run as text.

    Times are compared within rounds, and the median of these ratios is given: seconds alone vary
    with what else the machine does.
    """
    alone = {cell.mode: cell.seconds for cell in run.cells if cell.world_size == 1}
    return [_row(cell, alone.get(cell.mode, ())) for cell in run.cells]


def _row(cell: ProcessCell, alone: tuple[float, ...]) -> tuple[str, ...]:
    ratios = [ours / one for ours, one in zip(cell.seconds, alone, strict=False) if one > 0]
    sent = [f"{format_bytes(n)} {kind.replace('_', '-')}" for kind, n in cell.payload_bytes.items()]
    counts = ", ".join(map(str, sorted(set(cell.evaluations))))
    return (
        "shared out" if cell.mode == "strong" else "each its own",
        str(cell.world_size),
        str(cell.batch_per_rank),
        format_seconds(median(cell.seconds)) if cell.seconds else NOT_MEASURED,
        format_ratio(median(ratios)) if ratios else NOT_MEASURED,
        counts or NOT_MEASURED,
        format_bytes(cell.peak_bytes),
        ", ".join(sent) or "nothing",
    )
