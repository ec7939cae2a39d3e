"""Telling callgrind what to do from within the process that it runs: its client requests.

A request is a sequence of instructions that does nothing on a processor and that valgrind knows
(`valgrind.h`: stable, and the same for every tool since version 3.2). torch has two of them, but
not the one that switches counting on, and callgrind_control does not reach a forked process.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from enum import IntEnum

_TOOL = (ord("C") << 24) | (ord("T") << 16)

# rax: address of the request and its five arguments, from rdi; rdx: its result.
_AMD64 = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")


class Request(IntEnum):
    """Callgrind's requests, by the numbers of `callgrind.h`."""

    DUMP_STATS = _TOOL
    ZERO_STATS = _TOOL + 1
    START_INSTRUMENTATION = _TOOL + 4


def is_known_here() -> bool:
    """Whether the instructions for this processor are known."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def send(request: Request) -> None:
    """Have valgrind act on a request; without valgrind, nothing happens.

    Raises
    ------
    OSError
        On a processor whose instructions are not known here.
    """
    if not is_known_here():
        raise OSError(f"callgrind's requests are known for x86_64, not for {platform.machine()}")
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_AMD64)
    start = ctypes.addressof(ctypes.c_char.from_buffer(code))
    call = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64))(start)
    call((ctypes.c_uint64 * 6)(request))
