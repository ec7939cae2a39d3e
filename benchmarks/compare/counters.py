"""Exact meters of what torch is asked to do: the same numbers every time, on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# They hand a number of the device's to Python, which has to wait for it.
_SYNCS = frozenset(
    {"aten::_local_scalar_dense", "aten::item", "aten::equal", "aten::is_nonzero", "aten::nonzero"}
)


@dataclass
class Dispatched:
    """What was dispatched during a call.

    Attributes
    ----------
    operations : int
        ATen operations.
    host_syncs : int
        Operations that make the host wait for the device: ``item``, a truth value, ``nonzero``.
    narrow_operations : int
        Operations whose result is of lower floating precision than the work's own.
    bytes_written : int
        Bytes of all results that are not views; a measure of the work in each operation.
    """

    operations: int = 0
    host_syncs: int = 0
    narrow_operations: int = 0
    bytes_written: int = 0


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, dtype: torch.dtype, counts: Dispatched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bits = torch.finfo(dtype).bits
        self._counts = counts

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        counts = self._counts
        counts.operations += 1
        counts.host_syncs += func._schema.name in _SYNCS
        for part in result if isinstance(result, tuple | list) else (result,):
            if not isinstance(part, Tensor):
                continue
            if part.is_floating_point() and torch.finfo(part.dtype).bits < self._bits:
                counts.narrow_operations += 1
            if not func.is_view:
                counts.bytes_written += part.nbytes
        return result


def count_dispatched(call: Callable[[], object], dtype: torch.dtype) -> Dispatched:
    """Count the operations of a call, those of its backward passes among them.

    Parameters
    ----------
    call : callable
    dtype : torch.dtype
        The precision that the work is to be done in.
    """
    counts = Dispatched()
    with _Counting(dtype, counts):
        call()
    return counts


@dataclass
class Saved:
    """Tensors that autograd kept for backward passes: each counts as often as it was saved.

    Attributes
    ----------
    alive, peak : int
        Bytes now, and the most at once.
    """

    alive: int = 0
    peak: int = 0


class _Held:
    """A saved tensor, counted as long as the graph that it is saved in lives."""

    __slots__ = ("saved", "tensor")

    def __init__(self, tensor: Tensor, saved: Saved) -> None:
        self.tensor = tensor
        self.saved = saved
        saved.alive += tensor.nbytes
        saved.peak = max(saved.peak, saved.alive)

    def __del__(self) -> None:
        self.saved.alive -= self.tensor.nbytes


def count_saved(call: Callable[[], object]) -> Saved:
    """Count what autograd keeps alive during a call."""
    saved = Saved()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: _Held(tensor, saved), lambda held: held.tensor
    ):
        call()
    return saved
