"""How many operations a call gives torch to do: exact, whatever else the machine is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _OperationCount(TorchDispatchMode):
    """Counts the ATen operations that reach the device, those of the backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def count_operations(call: Callable[[], object]) -> int:
    """Count the ATen operations that a call dispatches.

    Views count too: they cost an overhead like any other, and where networks are small the
    overhead is what is paid. What is done outside torch, in another framework, is not seen.
    """
    counter = _OperationCount()
    with counter:
        call()
    return counter.count
