"""What one use of ``f`` takes in memory: measured, by watching which tensors live how long.

What is measured is the bytes of tensors' storages, as torch's dispatcher hands them out, on every
device alike. Scratch memory that a kernel allocates and frees within itself is not seen.
"""

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from symadj.captured import CapturedTensors, tensors_in_reach, walk
from symadj.forward.ambient import Ambient
from symadj.forward.carried import CarriedState
from symadj.forward.field import Field

NODE_BYTES = 1200
"""Objects of Python and of autograd for each operation of a graph: nodes, what they save, tensors.

Measured with memray; a graph of tiny tensors consists of little else.
"""

KEPT_NODE_BYTES = 800
"""Those for each node of a graph that is kept: measured with memray, 520 to 790."""

OPERATIONS_PER_GRADIENT = 8
"""The fewest operations, about, that a gradient within ``f`` takes."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory that one use of ``f`` takes, in bytes, above that of its arguments.

    Attributes
    ----------
    evaluation_bytes : int
        The most during an evaluation without a graph, the slope included.
    graph_bytes : int
        What an evaluation with a graph leaves alive, the slope included.
    kept_bytes : int
        What of this stays where the graph is kept, and the slope only if time's gradient wants it.
    vjp_bytes : int
        The most during an evaluation with a graph and its vector-Jacobian product, the gradients
        of state, time and parameters included.
    param_bytes : int
        All that gets a gradient beside state and time.
    num_inputs : int
        Tensors that get a gradient, the state among them.
    num_inner : int
        How often, about, ``f`` differentiates in one evaluation.
    nfe : int
        Evaluations that were made to find out.
    """

    evaluation_bytes: int
    graph_bytes: int
    kept_bytes: int
    vjp_bytes: int
    param_bytes: int
    num_inputs: int
    num_inner: int
    nfe: int


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that come into being while it is active.

    Attributes
    ----------
    live, peak : int
        Bytes alive now, and the most so far. Views and what was there before do not count.
    num_operations, num_recorded : int
        How many operations the dispatcher saw, and how many of them in grad mode.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = self.num_operations = self.num_recorded = 0
        self._finalizers: dict[int, weakref.finalize[..., Any]] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Let an operation be done, and look at what it returns."""
        result = func(*args, **(kwargs or {}))
        self.num_operations += 1
        self.num_recorded += torch.is_grad_enabled()
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(result):
            key = storage._cdata
            if key not in given and key not in self._finalizers:
                nbytes = storage.nbytes()
                self.live += nbytes
                self._finalizers[key] = weakref.finalize(storage, self._freed, key, nbytes)
        self.peak = max(self.peak, self.live)
        return result

    def __exit__(self, *exception: Any) -> None:
        """Stop counting; what is alive still is forgotten."""
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        for finalizer in self._finalizers.values():
            finalizer.detach()
        self._finalizers.clear()

    def _freed(self, key: int, nbytes: int) -> None:
        self.live -= nbytes
        self._finalizers.pop(key, None)


def _storages(tree: Any) -> list[torch.UntypedStorage]:
    leaves = pytree.tree_leaves(tree)
    return [leaf.untyped_storage() for leaf in leaves if isinstance(leaf, Tensor)]


_FOUND: "weakref.WeakKeyDictionary[Any, dict[Hashable, Footprint]]" = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Differentiated:
    """What gets a gradient beside state and time.

    Attributes
    ----------
    named : tuple of Tensor
        By name, those in ``args`` among them.
    searches : bool
        Whether the leaves that ``f`` is seen to read do too.
    wants_time : bool
        Whether time does.
    """

    named: tuple[Tensor, ...]
    searches: bool
    wants_time: bool


def footprint_of(
    field: Field, t0: float, y0: Tensor, sources: Differentiated | None, ambient: Ambient
) -> Footprint:
    """Measure one use of ``f``, or recall what was measured for the same ``f`` and shapes.

    Random generators, and the buffers of a module, are left as they were found. What else ``f``
    changes (a counter of calls) is changed.

    Parameters
    ----------
    field : Field
        Its ``func`` is evaluated three times at the most.
    t0 : float
        Initial time.
    y0 : Tensor, shape (n,)
        Initial state.
    sources : Differentiated or None
        None where no gradient is wanted: it is then evaluated without a graph only.
    ambient : Ambient

    Raises
    ------
    CapturedTensorError
        As a solve does, if ``f`` reads a tensor that was computed before and not given.
    """
    key = _key(field, y0, sources, ambient)
    try:
        known = _FOUND.setdefault(field.func, {})
    except TypeError:  # it cannot be referred to weakly, or hashed
        known = {}
    if key in known:
        return replace(known[key], nfe=0)
    owner = getattr(field.func, "__self__", field.func)
    buffers = tuple(owner.buffers()) if isinstance(owner, nn.Module) else ()
    with CarriedState(y0.device, buffers).left_as_found(), ambient.in_force():
        found = _measure(Field(field.func, field.packing, field.args), t0, y0.detach(), sources)
    known[key] = found
    return found


def _measure(field: Field, t0: float, y0: Tensor, sources: Differentiated | None) -> Footprint:
    t = torch.tensor(t0, dtype=y0.dtype.to_real(), device=y0.device)
    params: tuple[Tensor, ...] = ()
    if sources is not None:
        params = sources.named
        if sources.searches:
            captured = CapturedTensors(params, tensors_in_reach(field.func))
            field.inspector = captured
            field(t, y0)
            params = (*params, *captured.found)
    with torch.no_grad(), LiveBytes() as without:
        field(t, y0)
    # An f that differentiates inside makes a graph there too.
    evaluation = without.peak + NODE_BYTES * without.num_operations
    inner = -(-without.num_recorded // OPERATIONS_PER_GRADIENT)
    param_bytes = sum(param.nbytes for param in params)
    if sources is None:
        return Footprint(evaluation, 0, 0, 0, param_bytes, 0, inner, field.nfe)
    inputs = [y0.detach().requires_grad_(), *params]
    if sources.wants_time:
        inputs.append(t.requires_grad_())
    cotangent = torch.zeros_like(y0)
    with LiveBytes() as tracked:
        with torch.enable_grad():
            slope = field(t, inputs[0])
        graph = kept = tracked.live
        peak = tracked.peak
        num_operations, num_nodes = tracked.num_operations, 0
        gradients: tuple[Tensor | None, ...] = ()
        if slope.requires_grad:
            cotangent = cotangent.to(slope.dtype)
            root = get_gradient_edge(slope)
            del slope
            num_nodes = sum(1 for _ in walk(root.node))
            tracked.peak = kept = tracked.live
            gradients = torch.autograd.grad(root, inputs, cotangent, allow_unused=True)
            peak = max(peak, tracked.peak + graph - kept)  # where the slope is alive too
        del gradients
    if sources.wants_time:
        kept = graph
    objects = NODE_BYTES * num_operations
    return Footprint(
        evaluation_bytes=evaluation,
        graph_bytes=graph + objects,
        kept_bytes=kept + KEPT_NODE_BYTES * num_nodes,
        vjp_bytes=peak + objects,
        param_bytes=param_bytes,
        num_inputs=len(inputs),
        num_inner=inner,
        nfe=field.nfe,
    )


def _key(field: Field, y0: Tensor, sources: Differentiated | None, ambient: Ambient) -> Hashable:
    leaves, spec = pytree.tree_flatten(field.args)
    named = None
    if sources is not None:
        shapes = tuple((tuple(param.shape), param.dtype) for param in sources.named)
        named = (shapes, sources.searches, sources.wants_time)
    return (
        getattr(field.func, "training", None),
        field.packing.shapes,
        y0.dtype,
        y0.device,
        named,
        ambient,
        str(spec),
        tuple(
            (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf)
            for leaf in leaves
        ),
    )
