"""An event: a function of time and state that ends the solve where it becomes zero."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from symadj.forward.interpolation import Polynomial, evaluate
from symadj.forward.trajectory import Stretch, time_tensor
from symadj.state import Packing


@dataclass(frozen=True, slots=True)
class Event:
    """What is looked for along the steps.

    Attributes
    ----------
    function : callable
        The caller's ``event_fn(t, y)``, a tensor of any shape: the first of its entries to change
        its sign is the event.
    packing : Packing
        The form in which it wants its state.
    signs : Tensor
        Signs of its entries at the start.
    tolerance : float
        To within this the time of the event is found.
    """

    function: Callable[[Tensor, Any], Tensor]
    packing: Packing
    signs: Tensor
    tolerance: float

    @staticmethod
    def starting(
        function: Callable[[Tensor, Any], Tensor],
        packing: Packing,
        t0: float,
        y0: Tensor,
        tolerance: float,
    ) -> "Event":
        """Return the event of a solve from ``(t0, y0)``, a time and a flat state."""
        value = function(time_tensor(t0, y0.device), packing.unpack(y0))
        return Event(function, packing, torch.sign(torch.as_tensor(value)).detach(), tolerance)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Return one number, positive at first, that becomes zero at the event; differentiable."""
        value = torch.as_tensor(self.function(t, self.packing.unpack(y)))
        return torch.min(value * self.signs)

    def met_at_start(self) -> "Event":
        """Return the event of those entries alone that are zero at the start."""
        is_zero = self.signs == 0
        function = self.function

        def entries(t: Tensor, y: Any) -> Tensor:
            return torch.as_tensor(function(t, y))[is_zero]

        return replace(self, function=entries, signs=torch.ones_like(self.signs[is_zero]))

    def sign(self, t: float, y: Tensor) -> float:
        """Return its sign at a time and a flat state."""
        return float(torch.sign(self(time_tensor(t, y.device), y)))

    def locate(self, start_sign: float, stretch: Stretch, polynomial: Polynomial) -> float:
        """Return where in a step, in [0, 1], it changes its sign, by bisection as torchdiffeq's."""
        low, high = 0.0, 1.0
        halvings = math.ceil(math.log2(max(abs(stretch.h) / self.tolerance, 1.0)))
        for _ in range(halvings):
            middle = (low + high) / 2
            t = stretch.t0 + middle * (stretch.t1 - stretch.t0)
            if self.sign(t, evaluate(polynomial, (middle,))[0]) == start_sign:
                low = middle
            else:
                high = middle
        return (low + high) / 2
