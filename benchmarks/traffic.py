"""What one process hands to collectives: counted exactly, as torch's dispatcher sees it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

WHOLE = {
    "allreduce": "all_reduce",
    "_allgather_base": "all_gather",
    "allgather": "all_gather",
    "_reduce_scatter_base": "reduce_scatter",
    "reduce_scatter": "reduce_scatter",
    "broadcast": "broadcast",
    "all_reduce": "all_reduce",
    "all_gather_into_tensor": "all_gather",
    "reduce_scatter_tensor": "reduce_scatter",
}
"""Names of the dispatcher's operations, without trailing underscores, and what each is."""

NAMESPACES = ("c10d", "_c10d_functional")


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts collectives while it is active, in the backward pass too.

    Attributes
    ----------
    calls : Counter of str
        How many collectives of each kind: all_reduce, all_gather, reduce_scatter, broadcast, other.
    payload_bytes : Counter of str
        Bytes of the whole tensor of each: what all processes hold after an all-gather, and each
        before a reduce-scatter.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.payload_bytes: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Let an operation be done, and count it if it is a collective."""
        space, _, name = str(func.name()).partition("::")  # type: ignore[attr-defined]
        result = func(*args, **(kwargs or {}))
        if space in NAMESPACES and not name.startswith(("wait", "barrier")):
            kind = WHOLE.get(name.partition(".")[0].rstrip("_"), "other")
            sizes = [leaf.nbytes for leaf in pytree.tree_leaves((args, result)) if _is_tensor(leaf)]
            self.calls[kind] += 1
            # The whole is the largest of what goes in and comes out.
            self.payload_bytes[kind] += max(sizes, default=0)
        return result


def ring_bytes(kind: str, payload_bytes: int, world_size: int) -> int:
    """Return what each process sends for a collective by the ring algorithm, in bytes.

    Parameters
    ----------
    kind : str
        As in `Traffic`.
    payload_bytes : int
        Of the whole tensor.
    world_size : int

    References
    ----------
    Patarasuk & Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, J.
    Parallel Distrib. Comput. 69(2), 2009, doi:10.1016/j.jpdc.2008.09.002.
    """
    rounds = 2 if kind == "all_reduce" else 1
    return rounds * payload_bytes * (world_size - 1) // world_size


def _is_tensor(leaf: Any) -> bool:
    return isinstance(leaf, Tensor)
