"""Everything symadj raises, under one base class.

The tree:

    SymadjError
    ├── InvalidInputError (ValueError)       the call cannot be carried out as written
    │   ├── UnknownMethodError               no tableau of that name
    │   ├── UnknownOptionError               no option of that name, or not for this method
    │   ├── InvalidTimesError                t is not a strictly monotone vector of finite floats
    │   ├── MemoryBudgetError                no plan fits; has least_bytes
    │   └── CapturedTensorError              f reads a tensor whose gradient would be lost
    ├── UnsupportedError (NotImplementedError)  a derivative, or a transform, that there is not
    ├── InvalidTypeError (TypeError)         an argument of a wrong type: an integer state, say
    ├── InvalidSlopeError (ValueError)       f returned something of another shape than the state
    ├── SnapshotError (RuntimeError)         a state could not be kept, or read back
    ├── OtherProcessError (RuntimeError)     it failed elsewhere, with the same steps as here
    └── SolveError (RuntimeError)            the solve could not go on; has t and y
        ├── NonFiniteError                   f, or the state, is NaN or infinite
        ├── StepUnderflowError               the step became too small to move t
        ├── MaxStepsError                    more than max_num_steps between two outputs
        └── StageSolveError                  the stage equations of an implicit step defied solution

Each message says what was given, what is allowed and what to do. There is one warning beside them,
`CompileFallbackWarning`.
"""

from typing import Any


class SymadjError(Exception):
    """Base class of every error that symadj raises on purpose."""


class InvalidInputError(SymadjError, ValueError):
    """The call cannot be carried out as it is written."""


class UnknownMethodError(InvalidInputError):
    """There is no Runge-Kutta method of that name."""


class UnknownOptionError(InvalidInputError):
    """There is no option of that name, or the chosen method does not take it."""


class InvalidTimesError(InvalidInputError):
    """``t`` is not a strictly monotone vector of finite floating point numbers."""


class CapturedTensorError(InvalidInputError):
    """``f`` reads a tensor from which a gradient would flow, and which symadj was not given."""


class MemoryBudgetError(InvalidInputError):
    """``memory_budget`` is less than any plan takes.

    Attributes
    ----------
    least_bytes : int
        What would have been enough for this solve, in bytes.
    """

    def __init__(self, message: str, *, least_bytes: int) -> None:
        super().__init__(message)
        self.least_bytes = least_bytes


class UnsupportedError(SymadjError, NotImplementedError):
    """A derivative, or a transform, that symadj does not have; the message names another way."""


class InvalidTypeError(SymadjError, TypeError):
    """An argument has a type with which the call has no meaning."""


class InvalidSlopeError(SymadjError, ValueError):
    """``f`` returned something that is not a time derivative of the state."""


class SnapshotError(SymadjError, RuntimeError):
    """A state for the backward pass could not be kept or read back.

    Attributes
    ----------
    ys : Tensor, structure of Tensor, or None
        The outputs of the solve, if it was that which could not keep it: without a gradient.
    """

    ys: Any = None


class OtherProcessError(SymadjError, RuntimeError):
    """The solve failed on another process that was to take the same steps."""


class SolveError(SymadjError, RuntimeError):
    """The solve began and could not go on.

    Attributes
    ----------
    t : float
        Time of the last state that was accepted.
    y : Tensor or tuple of Tensor
        That state, in the form that the caller uses.
    """

    def __init__(self, message: str, *, t: float, y: Any) -> None:
        super().__init__(message)
        self.t = t
        self.y = y


class NonFiniteError(SolveError):
    """``f``, or the state, became NaN or infinite."""


class StepUnderflowError(SolveError):
    """The step size became so small that adding it leaves the time unchanged."""


class MaxStepsError(SolveError):
    """More steps than ``max_num_steps`` were tried between two outputs."""


class StageSolveError(SolveError):
    """The stage equations of an implicit step could not be solved."""


class CompileFallbackWarning(UserWarning):
    """``options={"compile": ...}`` was given, and the solve goes on without it."""
