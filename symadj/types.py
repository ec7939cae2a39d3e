"""The few types that more than one module speaks of."""

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import Tensor

State: TypeAlias = Any
"""A state as the caller sees it: a tensor of any shape, or a tuple, list or dict of them."""

VectorField: TypeAlias = Callable[..., Any]
"""``f(t, y, *args) -> dy/dt``, as the caller wrote it; ``t`` is a scalar tensor."""

Norm: TypeAlias = Callable[[Any], Tensor | float]
"""A norm of a state, in the caller's form; a step is accepted where it is at most one."""

EventFunction: TypeAlias = Callable[[Tensor, Any], Tensor]
"""``event_fn(t, y)``: the solve ends where one of its entries becomes zero."""
