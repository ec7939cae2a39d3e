"""The gradient methods under comparison. The only package that imports symadj or a peer.

Every method takes the same field, initial values, times and discretization, and returns the same
trajectory; what differs is how that trajectory is differentiated. With the first step given, or
on a fixed grid, those that take torchdiffeq's steps all take the same; the others say so
(`Method.takes_same_steps`) and are compared at the error that they achieve.

A tableau of order 2 is run on a fixed grid only: torchdiffeq's adaptive ones (adaptive_heun,
fehlberg2) carry the slope at the predictor into the next step as if it were f at the new state,
so they are not the one-step methods that their names say.
"""

from __future__ import annotations

from .method import (
    DEFAULT_CHECKPOINTS,
    Method,
    MethodUnavailableError,
    MissingPackageError,
    NotOfferedError,
    Solve,
)
from .of_symadj import COUNTS, DIAL, KEEPING_STAGES, expected_replays
from .of_torchdiffeq import BASELINE
from .registry import BASIC, BASIC_PEERS, METHODS, ON_REQUEST, plug_in, register

__all__ = [
    "BASELINE",
    "BASIC",
    "BASIC_PEERS",
    "COUNTS",
    "DEFAULT_CHECKPOINTS",
    "DIAL",
    "KEEPING_STAGES",
    "METHODS",
    "ON_REQUEST",
    "Method",
    "MethodUnavailableError",
    "MissingPackageError",
    "NotOfferedError",
    "Solve",
    "expected_replays",
    "plug_in",
    "register",
]
