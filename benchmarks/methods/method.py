"""What a method is: a way to differentiate a solve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State

DEFAULT_CHECKPOINTS = "default"
"""The checkpoints that a method keeps when it is not asked."""

Solve = Callable[[nn.Module, State, Tensor, Discretization], State]


class MethodUnavailableError(RuntimeError):
    """A method cannot be run here, for a reason that is no fault of its own."""


class MissingPackageError(MethodUnavailableError):
    """The package that a method needs is not installed."""


class NotOfferedError(MethodUnavailableError):
    """The method's package has no such tableau, or cannot solve such a problem."""


@dataclass(frozen=True)
class Method:
    """A way to differentiate a solve.

    Attributes
    ----------
    name : str
        The name in result files.
    solve : callable
        A differentiable ``solve(field, y0, t, discretization) -> ys``.
    is_exact : bool
        Whether the gradient is that of the steps taken, up to rounding.
    takes_same_steps : bool
        Whether its steps are torchdiffeq's, one by one, and its outputs equal to rounding.
    settings : mapping from checkpoints to solve, or None
        For each setting of the checkpoints that the method offers, its solve.
    calibrate : callable or None
        For a method of another order: ``calibrate(discretization, step_size)`` is the same problem
        in its own steps, which are made smaller until they reach the baseline's error.
    is_compiled : bool
        Whether graphs do the work, in which torch's operations are not there to be counted.
    """

    name: str
    solve: Solve
    is_exact: bool = True
    takes_same_steps: bool = True
    settings: Mapping[str | int, Solve] | None = None
    calibrate: Callable[[Discretization, float], Discretization] | None = None
    is_compiled: bool = False

    @property
    def solvers(self) -> Mapping[str | int, Solve]:
        """From a setting of the checkpoints to the solve that keeps them."""
        return {DEFAULT_CHECKPOINTS: self.solve, **(self.settings or {})}

    def solver(self, checkpoints: str | int) -> Solve:
        """Return the solve that keeps these checkpoints."""
        if checkpoints not in self.solvers:
            allowed = ", ".join(repr(key) for key in self.solvers)
            raise ValueError(
                f"method {self.name!r} has no checkpoints {checkpoints!r}; it has {allowed}"
            )
        return self.solvers[checkpoints]
