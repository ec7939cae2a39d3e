"""Instructions that a processor executes, counted by valgrind's callgrind."""

from __future__ import annotations

import math
import shutil

from torch.utils.benchmark import Timer


def count_instructions(statement: str, setup: str, *, num_threads: int = 1) -> float:
    """Count the instructions of one execution of a statement; NaN where there is no valgrind.

    A count does not depend on what else the machine is doing: two of them differ by some tenths of
    a per cent, from Python's own hashing and collecting. It takes about a minute, nearly all of it
    to import torch under valgrind.

    Parameters
    ----------
    statement, setup : str
        Python code, run in a process of its own. What is imported there must be found without
        the current folder: installed, or on ``PYTHONPATH``.
    num_threads : int
        Of torch.
    """
    if shutil.which("valgrind") is None:
        return math.nan
    timer = Timer(statement, setup, num_threads=num_threads)
    (statistics,) = timer.collect_callgrind(
        number=1, repeats=1, collect_baseline=False, retain_out_file=False
    )
    return float(statistics.counts())
