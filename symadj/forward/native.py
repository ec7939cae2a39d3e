"""Runs of small compiled steps in C++: the kernels of a tape, called with Python out of the way.

A step of a small network takes the processor a few microseconds, and Python takes longer to call it
and to choose the size of the next one. Where all that a tape calls are the compiler's own kernels,
which take nothing but pointers, loops of C++ call them instead (``loops.cpp``); the compiler's own
cache builds them, once for each number of pointers.
"""

import ctypes
import sys
import warnings
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor

from symadj.errors import CompileFallbackWarning
from symadj.forward.tape import Seat, Tape

SOURCE = Path(__file__).with_name("loops.cpp")

T = TypeVar("T")

KINDS = {"p": ctypes.c_void_p, "n": ctypes.c_int64}
SIGNATURES = {"take_steps": "pppppppppppppnnnpppppppp", "cross_steps": "pppppnnpp"}
"""Of what kind the arguments of each loop are: pointers and numbers."""


class Pointers:
    """The arguments of a tape's kernels as pointers, and where those go that change.

    Parameters
    ----------
    tape : Tape
    inputs : mapping of int to torch.dtype
        Those of the tape's inputs that change from call to call.
    outputs : sequence of Seat
        Where outputs go, which change as well.
    last : mapping of int to torch.dtype
        More inputs that change: their slots come after those of the outputs.

    Attributes
    ----------
    head : tuple of int
        The arguments with which each loop begins: where kernels, places and arguments lie.
    loops : ctypes.CDLL
    """

    def __init__(
        self,
        tape: Tape,
        inputs: Mapping[int, torch.dtype],
        outputs: Sequence[Seat],
        last: Mapping[int, torch.dtype],
    ) -> None:
        self.loops = build(tuple(len(args) for _, args, _ in tape.calls))
        slots = [(tape.inputs[index], dtype) for index, dtype in inputs.items()]
        slots += [(seat, seat.buffer.dtype) for seat in outputs if seat.buffer is not None]
        slots += [(tape.inputs[index], dtype) for index, dtype in last.items()]
        firsts, count = {}, 0
        for _, args, _ in tape.calls:
            firsts[id(args)] = count
            count += len(args)
        self._args = array("q", [0] * count)
        ends, places = array("q"), array("q")
        for seat, dtype in slots:
            for into, key, offset in seat.offsets():
                if id(into) in firsts:  # not among what Python is returned
                    places.extend((firsts[id(into)] + key, offset * dtype.itemsize))
            ends.append(len(places) // 2)
        kernels = array("q", [_address(function) for function, _, _ in tape.calls])
        self._held = kernels, ends, places
        self.head = addresses(*self._held, self._args)
        self._given = [
            (firsts[id(into)] + key, into, key)
            for index, seat in enumerate(tape.inputs)
            for into, key, _ in seat.offsets()
            if index not in inputs and index not in last and id(into) in firsts
        ]
        self._look(
            (firsts[id(args)] + key, args, key)
            for _, args, _ in tape.calls
            for key in range(len(args))
        )

    def look_again(self) -> None:
        """Find out where the inputs lie that are in their places now."""
        self._look(self._given)

    def _look(self, places: Iterable[tuple[int, list[Any], int]]) -> None:
        for place, into, key in places:
            if into[key] is not None:
                self._args[place] = into[key].data_ptr()


def pointers_of(
    tape: Tape,
    inputs: Mapping[int, torch.dtype],
    outputs: Sequence[Seat],
    last: Mapping[int, torch.dtype] = MappingProxyType({}),
) -> Pointers | None:
    """Return `Pointers`; None, after a warning, if their loops cannot be built."""
    try:
        return Pointers(tape, inputs, outputs, last)
    except Exception as error:  # what the compiler's cache does is the compiler's to say
        _say(str(error))
        return None


@lru_cache(maxsize=64)
def _say(reason: str) -> None:
    """Say once why there are no loops."""
    warnings.warn(
        f"options={{'compile': ...}}: loops in C++ cannot be built ({reason}). The solve goes on "
        f"with its steps called from Python, as exact, but not as fast. They need a C++ compiler, "
        f"and torch's inductor as it is in torch 2.13.",
        CompileFallbackWarning,
        stacklevel=2,
    )


def companion(tape: Tape, kind: type[T], make: Callable[[], T | str]) -> T | None:
    """Return what was made of a tape, at the first time by ``make``; None if that said why not."""
    if tape.companion is None:
        tape.companion = make()
    return tape.companion if isinstance(tape.companion, kind) else None


def seats_like(tape: Tape, outputs: Iterable[int], y: Tensor) -> list[Seat] | None:
    """Return where outputs go; None unless each takes the memory of a state, and all of its own."""
    seats = [tape.seat_of_output(place) for place in outputs]
    form = (y.nbytes, y.dtype)
    found = [x for x in seats if x and x.buffer and (x.buffer.nbytes, x.buffer.dtype) == form]
    return found if len(found) == len(seats) else None


def addresses(*arrays: "array[Any]") -> tuple[int, ...]:
    """Return where numbers lie."""
    return tuple(numbers.buffer_info()[0] for numbers in arrays)


@lru_cache(maxsize=64)
def numbers_of(rows: Sequence[Sequence[float]]) -> "array[float]":
    """Return rows of numbers, one after the other; not to be written to."""
    return array("d", [number for row in rows for number in row])


@lru_cache(maxsize=64)
def build(counts: tuple[int, ...]) -> ctypes.CDLL:
    """Return the loops for kernels of so many pointers each."""
    from torch._inductor.codecache import CppCodeCache  # noqa: PLC0415 - as in `inductor`

    calls, first = [], 0
    for index, count in enumerate(counts):
        sequence = f"std::make_index_sequence<{count}>{{}}"
        calls.append(f"call(kernels[{index}], args + {first}, {sequence});")
        first += count
    loops: ctypes.CDLL = CppCodeCache.load(f"#define CALLS {' '.join(calls)}\n{SOURCE.read_text()}")
    for name, kinds in SIGNATURES.items():
        getattr(loops, name).argtypes = [KINDS[kind] for kind in kinds]
        getattr(loops, name).restype = ctypes.c_int64
    return loops


@lru_cache(maxsize=1024)
def _address(function: Callable[..., object]) -> int:
    """Return where a kernel of the compiler's begins, from Python's name for it."""
    module = sys.modules[function.__module__]
    return ctypes.cast(ctypes.CDLL(module.__file__).kernel, ctypes.c_void_p).value or 0
