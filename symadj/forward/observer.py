"""Those who are told of the steps: torchdiffeq's callbacks, and the progress bar.

Callbacks are methods of ``f``: ``callback_step`` is told of every step tried,
``callback_accept_step`` and ``callback_reject_step`` of how it ended, and their namesakes in
``_adjoint`` of each step as the backward pass transposes it. Each is called with ``(t0, y0, dt)``:
scalar tensor, state in the caller's form, scalar tensor, the last one positive in whichever
direction time runs.
"""

import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from symadj.forward.trajectory import time_tensor
from symadj.state import Packing

Callback = Callable[[Tensor, Any, Tensor], object]


STEP_EVENTS = ("step", "step_adjoint")
"""What is told of every method's steps."""

JUDGED_EVENTS = ("accept_step", "reject_step", "accept_step_adjoint")
"""What is told where steps are judged, under error control. None is rejected going backward."""

NAMES = {event: f"callback_{event}" for event in (*STEP_EVENTS, *JUDGED_EVENTS)}
"""What the methods of ``f`` are called that are told."""


class Observer:
    """Calls what callbacks there are on ``func``, and costs nothing where there are none.

    Attributes
    ----------
    bar : callable or None
        Told of the start and the size of each accepted step.
    """

    __slots__ = ("_callbacks", "_packing", "bar")

    def __init__(self, func: object, packing: Packing, *, is_adaptive: bool) -> None:
        self.bar: Callable[[float, float], None] | None = None
        self._packing = packing
        self._callbacks: dict[str, Callback] = {}
        for event in () if _has_none(func) else (*STEP_EVENTS, *JUDGED_EVENTS):
            callback = getattr(func, NAMES[event], None)
            if callback is None:
                continue
            if event in STEP_EVENTS or is_adaptive:
                self._callbacks[event] = callback
            else:
                warnings.warn(
                    f"callback_{event} is not called, as the steps of a fixed grid are not judged. "
                    f"Use callback_step, or an adaptive method.",
                    stacklevel=5,
                )

    @property
    def calls(self) -> bool:
        """Whether there is a callback."""
        return bool(self._callbacks)

    def tell(self, event: str, t0: float, y0: Tensor, h: float) -> None:
        """Call ``callback_<event>``, if there is one."""
        if self.bar is not None and event == "accept_step":
            self.bar(t0, h)
        callback = self._callbacks.get(event)
        if callback is not None:
            time, size = time_tensor(t0, y0.device), time_tensor(abs(h), y0.device)
            callback(time, self._packing.unpack(y0), size)


def _has_none(func: object) -> bool:
    """Whether ``f`` is a module without callbacks: it says so soonest in its own places."""
    kind = type(func)
    if not isinstance(func, nn.Module) or type(func).__getattr__ is not nn.Module.__getattr__:
        return False
    names = NAMES.values()  # its parameters and buffers are no callbacks
    is_among = any(name in func.__dict__ or name in func._modules for name in names)
    return not (is_among or any(hasattr(kind, name) for name in names))
