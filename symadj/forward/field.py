"""The vector field on flat states: the one place where the caller's ``f`` is called."""

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

from symadj.errors import InvalidSlopeError
from symadj.state import Packing
from symadj.types import VectorField

Inspector: TypeAlias = Callable[["Field", Tensor, Tensor], Tensor]


class Field:
    """``f`` on flat states, counted.

    Parameters
    ----------
    func : callable
        The caller's ``f(t, y, *args)``.
    packing : Packing
        The form in which ``func`` wants its state.
    args : tuple
        What ``func`` is given beside time and state.

    Attributes
    ----------
    nfe : int
        Number of evaluations so far.
    inspector : callable or None
        Makes the next evaluation in this field's place, once, and may look at how it was made.
    before : callable or None
        Called before each evaluation: it records, or brings back, what ``f`` carries.
    """

    __slots__ = ("args", "before", "func", "inspector", "nfe", "packing")

    def __init__(self, func: VectorField, packing: Packing, args: tuple[Any, ...] = ()) -> None:
        self.func = func
        self.packing = packing
        self.args = args
        self.nfe = 0
        self.inspector: Inspector | None = None
        self.before: Callable[[], None] | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate ``f``.

        Parameters
        ----------
        t : Tensor, shape ()
        y : Tensor, shape (n,)

        Returns
        -------
        Tensor, shape (n,)
            The slope, in the dtype in which ``f`` returned it (under autocast not the state's).
        """
        if self.inspector is not None:
            inspector, self.inspector = self.inspector, None
            return inspector(self, t, y)
        self.nfe += 1
        if self.before is not None:
            self.before()
        version = None if y.is_inference() else y._version
        slope = self.packing.pack_slope(self.func(t, self.packing.unpack(y), *self.args))
        if version is not None and y._version != version:
            raise InvalidSlopeError(
                "f changed its state in place. The state belongs to the solver, which needs it as "
                "it was: use y * 2 for y.mul_(2), or begin with y = y.clone()."
            )
        if not (slope.is_floating_point() or slope.is_complex()):
            slope = slope.to(y.dtype)
        if slope.is_complex() and not y.is_complex():
            raise InvalidSlopeError(
                f"f returned {slope.dtype} for a state of {y.dtype}: its imaginary part would be "
                f"lost. Make y0 complex, or return a real slope."
            )
        return slope
