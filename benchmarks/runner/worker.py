"""A group measured in a process of its own, so that a case that ends its process takes no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from ..cases import Case
from ..environment import selected_device
from ..groups import Group
from ..measure import Failure, Outcome, measure_group


def measure_apart(group: Group) -> dict[Case, Outcome]:
    """Measure a group in a fresh process.

    A case during which the process ends (out of memory, say) is a failure, and the others are
    measured again without it.
    """
    known: dict[Case, Outcome] = {}
    while True:
        outcomes, ended, how = _attempt(group, known)
        if outcomes is not None:
            return outcomes
        failure = Failure(how)
        if ended is None or ended in known:
            return dict.fromkeys(group, failure)
        known[ended] = failure


def _attempt(
    group: Group, known: dict[Case, Outcome]
) -> tuple[dict[Case, Outcome] | None, Case | None, str]:
    """Return the outcomes; or none, the case that was running last, and how it ended."""
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    process: BaseProcess = context.Process(target=_work, args=(theirs, group, known))
    process.start()
    theirs.close()
    running: Case | None = None
    try:
        while True:
            message = ours.recv()
            if isinstance(message, Case):
                running = message
            elif isinstance(message, str):
                return None, None, message
            else:
                return message, None, ""
    except EOFError:
        process.join()
        return None, running, _how_it_ended(process.exitcode)
    finally:
        ours.close()
        if process.is_alive():
            process.join(timeout=10)
            process.kill()
        process.join()


def _context() -> Any:
    """Forking is much faster than starting Python anew; CUDA does not survive it."""
    if selected_device().type == "cuda" or "forkserver" not in (
        multiprocessing.get_all_start_methods()
    ):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # torch imports the second when it first differentiates
    context.set_forkserver_preload(
        [measure_group.__module__, "torch.fx.experimental.symbolic_shapes"]
    )
    return context


def _work(connection: Connection, group: Group, known: dict[Case, Outcome]) -> None:
    """Measure in the child: say each case that is begun, then the outcomes or a traceback."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        connection.send(measure_group(group, known, connection.send))
    except Exception:  # the group as a whole cannot be measured
        connection.send(traceback.format_exc())
    finally:
        connection.close()


def _end_with_parent() -> None:
    """A run that was killed leaves nothing behind that would disturb the next one's times."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        why = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"the process was ended by {name}{why}"
    return f"the process ended with exit status {exit_code}"
