"""The vector field on flat states: the one place where the caller's ``f`` is called."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from symadj.errors import InvalidSlopeError
from symadj.state import Packing
from symadj.types import VectorField


class Inspector(Protocol):
    """Looks at how a slope was made."""

    def __call__(self, field: "Field", t: Tensor, y: Tensor, /) -> Tensor:
        """Make the next evaluation in the field's place, and look at it."""

    def look(self, slopes: Sequence[Tensor], oldest: int, own: Sequence[Tensor]) -> None:
        """Look at the graph of an evaluation.

        Parameters
        ----------
        slopes : sequence of Tensor
            What ``f`` returned.
        oldest : int
            The number of a node from before the evaluation.
        own : sequence of Tensor
            Leaves that are the evaluation's own: its time and state.
        """


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
    maker : callable or None
        Makes every evaluation in this field's place, and sees to it that an inspector looks.
    before : callable or None
        Called before each evaluation: it records, or brings back, what ``f`` carries, and returns
        whether it is to be called again.
    """

    __slots__ = ("_is_plain", "args", "before", "func", "inspector", "maker", "nfe", "packing")

    def __init__(self, func: VectorField, packing: Packing, args: tuple[Any, ...] = ()) -> None:
        self.func = func
        self.packing = packing
        self._is_plain = packing.is_plain
        self.args = args
        self.nfe = 0
        self.inspector: Inspector | None = None
        self.maker: Callable[[Field, Tensor, Tensor], Tensor] | None = None
        self.before: Callable[[], bool] | None = None

    def buffers(self) -> tuple[Tensor, ...]:
        """Return the buffers of ``f``, if it is a module or a method of one."""
        owner = getattr(self.func, "__self__", self.func)
        return tuple(owner.buffers()) if isinstance(owner, nn.Module) else ()

    def forget(self) -> None:
        """Let nobody look at evaluations to come, nor make them."""
        self.before = self.maker = None

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
        if self.maker is not None:
            return self.maker(self, t, y)
        if self.inspector is not None:
            inspector, self.inspector = self.inspector, None
            return inspector(self, t, y)
        return self.packing.join(self.evaluate(t, self.packing.split(y)))

    def evaluate(self, t: Tensor, parts: tuple[Tensor, ...]) -> Sequence[Tensor]:
        """Evaluate ``f`` on the parts of a state, each in its own shape, as the slopes returned.

        Raises
        ------
        InvalidSlopeError
            If they are none, or the state was changed in place.
        """
        self.nfe += 1
        if self.before is not None and not self.before():
            self.before = None
        first = parts[0]  # the others, views of the same vector, have the same version
        version = None if first.is_inference() else first._version
        if self._is_plain:
            slope = self.func(t, first, *self.args)
        else:
            slope = self.func(t, self.packing.nest(parts), *self.args)
        if version is not None and first._version != version:
            raise InvalidSlopeError(
                "f changed its state in place. The state belongs to the solver, which needs it as "
                "it was: use y * 2 for y.mul_(2), or begin with y = y.clone()."
            )
        slopes = self.packing.parts_of_slope(slope)
        for slope in slopes:
            if slope.dtype is not first.dtype:
                return [_converted(slope, first.dtype) for slope in slopes]
        return slopes


def _converted(slope: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a slope that can be that of a state of ``dtype``."""
    if not (slope.is_floating_point() or slope.is_complex()):
        return slope.to(dtype)
    if slope.is_complex() and not dtype.is_complex:
        raise InvalidSlopeError(
            f"f returned {slope.dtype} for a state of {dtype}: its imaginary part would be "
            f"lost. Make y0 complex, or return a real slope."
        )
    return slope
