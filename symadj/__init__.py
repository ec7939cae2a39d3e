"""Exact gradients of neural ODEs with the memory of one network evaluation.

`odeint` solves an initial value problem as torchdiffeq does; its gradient is made by the symplectic
adjoint method. `solve` does the same and tells what it cost. `symadj.errors` holds what they raise.
"""

from symadj.errors import SymadjError
from symadj.forward.trajectory import Stats
from symadj.odeint import Solution, odeint, solve

__all__ = ["Solution", "Stats", "SymadjError", "odeint", "solve"]
