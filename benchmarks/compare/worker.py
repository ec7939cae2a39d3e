"""The process that does the work, for one side: ``python -m benchmarks.compare.worker``.

It imports torch once, then waits for connections: for each it forks. What is forked puts the
side's packages in front of the import path, and answers requests until the connection closes.
Both sides are forked from one process, so that libraries, heap and hash seed are the same for
both, and a fresh worker costs one second and not ten: many can be had, and what is peculiar to
one averages out.

A worker holds one side, or several by turns: for seconds, two processes that run the same code
differ by 1 % to 2 % for as long as they live, since the pages that they got lie differently in the
caches; in one process both sides are given the same memory by the same allocator.
"""

from __future__ import annotations

import contextlib
import gc
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

import torch

from .clock import clocked_rounds
from .counters import count_dispatched
from .loaded import UNDER_TEST, LoadedSide
from .priority import go_first

# None of them may import what is under test: each side has its own.
PRELOADED = (
    "numpy",
    "memray",
    "benchmarks.problems",
    "benchmarks.meters",
    "benchmarks.timing",
)
WARM = "warm"
"""Argument: do once what imports much at its first use, so that no worker has to."""

AT_FIRST_USE = ("sklearn.datasets",)

Request = dict[str, Any]

_padding: list[bytearray] = []
_sides: dict[str, LoadedSide] = {}


def main() -> None:
    """Fork a worker for each connection that comes through standard input, a socket."""
    is_warm = WARM in sys.argv[1:]
    for name in (*PRELOADED, *(AT_FIRST_USE if is_warm else ())):
        with contextlib.suppress(ImportError):  # the work that needs it will say so
            importlib.import_module(name)
    early = [name for name in UNDER_TEST if name in sys.modules]
    if early:
        raise ImportError(f"{', '.join(early)} must not be imported before a side is chosen")
    torch.set_num_threads(1)
    if is_warm:
        count_dispatched(lambda: torch.ones(2).sum(), torch.float32)  # 800 modules
    # What was imported is nobody's garbage: a worker that looked through it, at every collection,
    # would also need its own copy of every page.
    gc.collect()
    gc.freeze()
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
    actions: dict[str, Callable[[Request], Any]] = {"start": _start, "rounds": _rounds}
    for line in stream:
        request = json.loads(line)
        answer = (_isolated if request.get("is_isolated") else _answer)(actions, request)
        if len(_sides) == 1:  # what it can do is its own to say
            (side,) = _sides.values()
            actions |= side.actions.ACTIONS if side.actions else {}
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


def _start(request: Request) -> dict[str, Any]:
    """Import the packages of one side or more, and move the heap by a random amount.

    Where objects happen to lie costs or saves a per cent: in a fork always the same one, which
    would look like a difference between the sides.
    """
    draw = random.Random(request["seed"])
    are_several = len(request["sides"]) > 1
    if are_several:
        go_first()
    origins = {}
    for name, paths in request["sides"].items():
        _padding.extend(bytearray(draw.randrange(16, 4096)) for _ in range(draw.randrange(200)))
        _sides[name] = side = LoadedSide(paths)
        if are_several:
            with side:
                origins[name] = side.load()
        else:  # alone, it uses what was preloaded, and stays
            sys.path[:0] = paths
            origins[name] = side.load()
    return {"pid": os.getpid(), "origins": origins}


def _rounds(request: Request) -> list[Any]:
    """Time the sides by turns, block by block."""
    calls = {}
    for name, work in request["works"].items():
        with _sides[name] as side:
            calls[name] = side.actions.get_call(work)
    return clocked_rounds(calls, _sides, request["order"], request["num_calls"], request["seconds"])


if __name__ == "__main__":
    main()
