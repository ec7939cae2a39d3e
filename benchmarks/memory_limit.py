"""A limit on this process's memory, so that a case that wants too much fails and nothing else does.

Without one the system ends some process, not always the one that asked.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARE = 0.9  # of the memory that is free now
MEMINFO = Path("/proc/meminfo")
STATUS = Path("/proc/self/status")


@contextmanager
def limited_memory(num_bytes: int | None = None) -> Iterator[None]:
    """Let this process allocate at most so many bytes more; all but a tenth of what is free now.

    On systems that do not tell what is free there is no limit.
    """
    if not MEMINFO.exists():
        yield
        return
    more = int(SHARE * _field_bytes(MEMINFO, "MemAvailable")) if num_bytes is None else num_bytes
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _field_bytes(STATUS, "VmData") + more
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _field_bytes(file: Path, name: str) -> int:
    """Return a figure of one of the kernel's files, which are in KiB."""
    for line in file.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise ValueError(f"{file} has no line {name}")
