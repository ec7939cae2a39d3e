"""Exact gradients of neural ODEs by the symplectic adjoint method.

`odeint` is torchdiffeq's, with the gradient of the steps taken and the memory of one evaluation;
`solve` says what it cost; `odeint_event` and `odeint_dense` are for events and for output at any
time; `odeint_adjoint` and `odeint_symplectic_adjoint` take what their namesakes take.
"""

from importlib import metadata as _metadata

from symadj.compat import odeint_adjoint, odeint_event, odeint_symplectic_adjoint
from symadj.dense import DenseOutput, odeint_dense
from symadj.errors import SymadjError
from symadj.forward.trajectory import Stats
from symadj.odeint import Solution, odeint, solve

__all__ = [
    "DenseOutput",
    "Solution",
    "Stats",
    "SymadjError",
    "odeint",
    "odeint_adjoint",
    "odeint_dense",
    "odeint_event",
    "odeint_symplectic_adjoint",
    "solve",
]

try:
    __version__ = _metadata.version("symadj")
except _metadata.PackageNotFoundError:  # a copy that is not installed: a node of a cluster has one
    __version__ = "0.0.0"
