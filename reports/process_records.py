"""What was measured on growing numbers of processes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessCell:
    """A training step on so many processes.

    Attributes
    ----------
    mode : str
        "strong": they share the batch; "weak": each has all of it.
    world_size, batch_per_rank : int
    seconds : tuple of float
        Of each round: the slowest process's.
    peak_bytes : float
        Of the process that takes most.
    evaluations : tuple of int
        Of f, on each process; empty where the method does not count.
    payload_bytes : dict of str to int
        Handed to collectives by one process, by kind.
    """

    mode: str
    world_size: int
    batch_per_rank: int
    seconds: tuple[float, ...]
    peak_bytes: float
    evaluations: tuple[int, ...]
    payload_bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """One start of the scaling benchmark."""

    file: str
    title: str
    place: str
    param_bytes: int
    cells: tuple[ProcessCell, ...]
