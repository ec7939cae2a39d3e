"""Going before other processes, where the system permits it.

On two cores that others keep busy, a process that only gets its share spends three quarters of the
time waiting, and finds its caches cold each time: the ratio of two runs of the same code then
scatters four times as much as at real-time priority. Root may ask for it, and in a container what
was given CAP_SYS_NICE; everybody else measures as well as they can.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = -10


def hurry(pid: int) -> None:
    """Give a session's first process a larger share, unless we were asked to be nice to others.

    What it forks inherits it. The session is to be its own, since the share is the session's.
    """
    ours = os.nice(0)
    if ours > 0:
        return
    niceness = min(ours, NICENESS)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    # Where Linux shares the cores out among sessions first, niceness counts only within one.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(f"{niceness}\n", encoding="ascii")


def go_first() -> None:
    """Be interrupted by nobody but the system, which keeps a twentieth of each core for others."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
