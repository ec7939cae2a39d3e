"""Seconds in interleaved rounds, and what can be said from them.

Seconds measured minutes apart on a shared machine differ by a factor. So the contestants take
turns, A B C A B C ..., within one process, and each round's own ratio to the baseline counts.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
Seconds = NDArray[np.float64]

NUM_RESAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Effort:
    """How much time a group of contestants is worth.

    Rounds go on until ``seconds`` are spent, but at least ``min_rounds`` and at most
    ``max_rounds`` of them. A contestant that is known to replay more than ``max_replayed_steps``
    in one backward pass takes no part.
    """

    min_rounds: int
    max_rounds: int
    seconds: float
    max_replayed_steps: float = math.inf


@contextmanager
def settled_heap() -> Iterator[None]:
    """Hide all objects alive now from the garbage collector, which then needs no time to speak of.

    Collecting before every measurement would else search torch's modules each time.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def interleaved_rounds(
    contestants: Mapping[Key, Callable[[], tuple[float, ...]]], effort: Effort
) -> dict[Key, Seconds | Exception]:
    """Let contestants measure themselves in turns.

    Parameters
    ----------
    contestants : mapping
        Each call returns that round's seconds, forward and backward for example.
    effort : Effort
        When to stop.

    Returns
    -------
    dict
        Seconds of shape (num_rounds, num_clocks); the exception of a contestant that raised one,
        which takes part in no later round.
    """
    rounds: dict[Key, list[tuple[float, ...]]] = {key: [] for key in contestants}
    failures: dict[Key, Exception] = {}
    deadline = time.perf_counter() + effort.seconds
    for num_rounds in range(effort.max_rounds):
        if num_rounds >= effort.min_rounds and time.perf_counter() > deadline:
            break
        for key, contestant in contestants.items():
            if key in failures:
                continue
            gc.collect()
            gc.disable()
            try:
                rounds[key].append(contestant())
            except Exception as error:  # a contestant may raise anything
                failures[key] = error
            finally:
                gc.enable()
    return {key: failures.get(key, np.array(rounds[key])) for key in contestants}


def median_interval(samples: Seconds) -> tuple[float, float, float]:
    """Return the median and its bootstrap interval (Efron's percentiles), low and high.

    Parameters
    ----------
    samples : array, shape (num_samples,)
        Ratios or seconds.
    """
    generator = np.random.default_rng(seed=0)
    resampled = generator.choice(samples, size=(NUM_RESAMPLES, len(samples)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(resampled, axis=1), [tail, 1 - tail])
    return float(np.median(samples)), float(low), float(high)
