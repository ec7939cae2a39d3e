"""What becomes of a case that yields no figures, or none that may be compared: a code in its row.

A failure that nobody knows of has no code: it is raised, and fails the run.
"""

from __future__ import annotations

from enum import IntEnum

import torch


class Code(IntEnum):
    """Why a row has no figures, or no ratio. Result files hold the number: none may change."""

    NOT_INSTALLED = 1  # the method's package is not there
    NOT_OFFERED = 2  # the method's package has no such tableau, or cannot solve such a problem
    OUT_OF_MEMORY = 3
    KNOWN_FAILURE = 4  # it is known to fail here, and did
    UNEQUAL_WORK = 5  # neither the baseline's steps nor its error: figures, but no ratio
    ERROR_NOT_REACHED = 6  # not with many times the baseline's evaluations


class ErrorNotReachedError(RuntimeError):
    """A method with steps of its own cannot reach the error that it is to be compared at."""


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an exception says that memory ran out, on the CPU or on the GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # torch's allocator on the CPU has no exception of its own
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
