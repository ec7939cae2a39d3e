"""What the environment variables ask for; unset, each has a default that suits two shared cores.

    SYMADJ_BENCHMARK_SIZE          smoke | quick | standard | full  scale of work  (quick)
    SYMADJ_BENCHMARK_DEVICE        cpu | cuda                where the tensors lie  (cpu)
    SYMADJ_BENCHMARK_THREADS       1, 2, ...           torch's threads on the CPU  (1)
    SYMADJ_BENCHMARK_INSTRUCTIONS  0 | 1                  count instructions, too  (0)

The sizes take seconds a case, five minutes, an hour and a night.

One thread by default, because two threads on two cores that others use too wait for each other at
every operation: a gradient of 20 ms was seen to take 1.4 s, and ratios of methods to scatter by a
factor of five, where with one thread it takes 70 ms and the ratios agree within 20 %.
"""

from __future__ import annotations

import os

import torch

SIZE_VARIABLE = "SYMADJ_BENCHMARK_SIZE"
DEVICE_VARIABLE = "SYMADJ_BENCHMARK_DEVICE"
THREADS_VARIABLE = "SYMADJ_BENCHMARK_THREADS"
INSTRUCTIONS_VARIABLE = "SYMADJ_BENCHMARK_INSTRUCTIONS"

SIZES = ("smoke", "quick", "standard", "full")
DEVICES = ("cpu", "cuda")


def selected_size() -> str:
    """Return the name of the size set."""
    return _choice(SIZE_VARIABLE, "quick", SIZES)


def selected_device() -> torch.device:
    """Return the device to measure on."""
    name = _choice(DEVICE_VARIABLE, "cpu", DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{DEVICE_VARIABLE} is 'cuda', but torch sees no CUDA device here")
    return torch.device(name)


def selected_num_threads() -> int:
    """Return the number of CPU threads that torch is to use."""
    text = os.environ.get(THREADS_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"{THREADS_VARIABLE} is {text!r}; allowed are whole numbers from 1, "
            "and leaving it unset means 1"
        )
    return int(text)


def counts_instructions() -> bool:
    """Return whether instructions are counted: about a minute a case, under valgrind."""
    return _choice(INSTRUCTIONS_VARIABLE, "0", ("0", "1")) == "1"


def _choice(variable: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(variable, default)
    if value not in allowed:
        raise ValueError(
            f"{variable} is {value!r}; allowed are {', '.join(map(repr, allowed))}, "
            f"and leaving it unset means {default!r}"
        )
    return value
