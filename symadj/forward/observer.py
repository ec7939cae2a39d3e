"""torchdiffeq's callbacks: methods of ``f`` that are told of the steps as they are tried.

``callback_step`` of every step tried, ``callback_accept_step`` and ``callback_reject_step`` of how
it ended; each is called with ``(t0, y0, dt)``: scalar tensor, state in the caller's form, scalar
tensor, the last one positive in whichever direction time runs.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from symadj.state import Packing

Callback = Callable[[Tensor, Any, Tensor], object]


class Observer:
    """Calls what callbacks there are on ``func``, and costs nothing where there are none."""

    __slots__ = ("_callbacks", "_packing")

    def __init__(self, func: object, packing: Packing) -> None:
        self._packing = packing
        self._callbacks: dict[str, Callback] = {}
        for event in ("step", "accept_step", "reject_step"):
            callback = getattr(func, f"callback_{event}", None)
            if callback is not None:
                self._callbacks[event] = callback

    def tell(self, event: str, t0: float, y0: Tensor, h: float) -> None:
        """Call ``callback_<event>``, if there is one."""
        callback = self._callbacks.get(event)
        if callback is not None:
            time = torch.tensor(t0, dtype=torch.float64, device=y0.device)
            size = torch.tensor(abs(h), dtype=torch.float64, device=y0.device)
            callback(time, self._packing.unpack(y0), size)
