"""The process that does the work, for one side: ``python -m benchmarks.compare.worker``.

It imports torch once, then waits for connections: for each it forks. What is forked puts the
side's packages in front of the import path, and answers requests until the connection closes.
Both sides are forked from one process, so that libraries, heap and hash seed are the same for
both, and a fresh pair of workers costs one second and not ten: many pairs can be had, and what is
peculiar to one pair averages out.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

# None of them may import what is under test: each side has its own.
PRELOADED = (
    "torch",
    "numpy",
    "memray",
    "sklearn.datasets",
    "benchmarks.problems",
    "benchmarks.meters",
    "benchmarks.timing",
)
UNDER_TEST = ("symadj", "torchdiffeq")
Request = dict[str, Any]

_padding: list[bytearray] = []


def main() -> None:
    """Fork a worker for each connection that comes through standard input, a socket."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):  # the work that needs it will say so
            importlib.import_module(name)
    early = [name for name in UNDER_TEST if name in sys.modules]
    if early:
        raise ImportError(f"{', '.join(early)} must not be imported before a side is chosen")
    sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    control.sendall(b"ready\n")
    while True:
        _, descriptors, _, _ = socket.recv_fds(control, 1, maxfds=1)
        if not descriptors:
            return  # whoever asked is gone
        if os.fork() == 0:
            control.close()
            try:
                _serve(socket.socket(fileno=descriptors[0]))
            finally:
                os._exit(0)
        os.close(descriptors[0])


def _serve(connection: socket.socket) -> None:
    """Answer requests, one JSON object a line, until the other end closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stream = connection.makefile("rwb")
    actions: dict[str, Callable[[Request], Any]] = {"start": _start}
    for line in stream:
        request = json.loads(line)
        if request.get("is_isolated"):
            answer = _isolated(actions, request)
        else:
            answer = _answer(actions, request)
        if request["do"] == "start" and b'"ok"' in answer[:6]:
            # Only now, since it imports the packages under test.
            answer = _answer({"start": lambda _: _import_actions(actions)}, request)
        stream.write(answer + b"\n")
        stream.flush()


def _answer(actions: Mapping[str, Callable[[Request], Any]], request: Request) -> bytes:
    try:
        answer = {"ok": actions[request["do"]](request)}
    except Exception:  # whatever the side's code raises is its result
        answer = {"failed": traceback.format_exc()}
    return json.dumps(answer).encode()


def _isolated(actions: Mapping[str, Callable[[Request], Any]], request: Request) -> bytes:
    """Answer in a fork of its own, so that no request finds what an earlier one left."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(_answer(actions, request))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if answer:
        return answer
    code = os.waitstatus_to_exitcode(status)
    return json.dumps({"failed": f"the process ended with exit status {code}"}).encode()


def _import_actions(actions: dict[str, Callable[[Request], Any]]) -> dict[str, Any]:
    actions |= importlib.import_module("benchmarks.compare.actions").ACTIONS
    return {"pid": os.getpid(), "origins": _origins()}


def _start(request: Request) -> None:
    """Put the side's packages in front, and move the heap by a random amount.

    Where objects happen to lie costs or saves a per cent: in a fork always the same one, which
    would look like a difference between the sides.
    """
    sys.path[:0] = request["paths"]
    draw = random.Random(request["seed"])
    _padding.extend(bytearray(draw.randrange(16, 4096)) for _ in range(draw.randrange(200)))


def _origins() -> dict[str, str]:
    """Return the files that the packages under test came from."""
    return {
        name: str(getattr(sys.modules[name], "__file__", None))
        for name in UNDER_TEST
        if sys.modules.get(name) is not None
    }


if __name__ == "__main__":
    main()
