"""Tensors that ``f`` reads without being given them: closures, globals, attributes.

Nobody can list them for certain, but two things together do. The graph of one evaluation of ``f``
shows those that this evaluation read: a leaf of that graph is a tensor from which a gradient would
flow, and a node that is older than the evaluation belongs to the history of a tensor that was
computed before. And the code of ``f`` shows those that another evaluation might read
(``a if t < 1 else b``): what its closure, its globals, its defaults and its object hold.
"""

import functools
import types
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

from symadj.errors import CapturedTensorError
from symadj.forward.field import Field


class CapturedTensors:
    """Finds the tensors that ``f`` captures, as the inspector of a `Field`.

    Parameters
    ----------
    known : iterable of Tensor
        What symadj was given already.
    in_reach : iterable of Tensor
        What the code of ``f`` may read (see `tensors_in_reach`).

    Attributes
    ----------
    found : list of Tensor
        Tensors that require a gradient, are read by ``f`` and are not known: leaves, and what was
        computed before, if it is in reach of the code.
    seen : list of Tensor
        All that were read, those that are known among them.
    """

    def __init__(self, known: Iterable[Tensor], in_reach: Iterable[Tensor] = ()) -> None:
        self._known = list(known)
        self._computed = [tensor for tensor in in_reach if tensor.grad_fn is not None]
        self.found: list[Tensor] = []
        self.seen: list[Tensor] = []
        self._own: Sequence[Tensor] = ()

    def __call__(self, field: Field, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the field with a graph, and look at the graph.

        Raises
        ------
        CapturedTensorError
            If ``f`` reads a tensor that was computed from others before, and was not given.
        """
        oldest = next_node()
        with torch.enable_grad():
            slope = field(t, y)
        self.look((slope,), oldest)
        return slope.detach()

    def look(self, slopes: Sequence[Tensor], oldest: int, own: Sequence[Tensor] = ()) -> None:
        """Look at the graph of an evaluation.

        Parameters
        ----------
        slopes : sequence of Tensor
            What ``f`` returned.
        oldest : int
            The number of a node from before the evaluation.
        own : sequence of Tensor
            Leaves that are the evaluation's own: its time and state.

        Raises
        ------
        CapturedTensorError
            If ``f`` reads a tensor that was computed from others before, and was not given.
        """
        self._own = own
        for slope in slopes:
            if slope.grad_fn is not None:
                self._look(slope.grad_fn, oldest)
            elif slope.requires_grad:
                self._add(slope)
        self._own = ()

    def _look(self, root: Node, oldest: int) -> None:
        """Walk the graph from ``root`` to its leaves, and to the edge of what was given."""
        known_nodes = {tensor.grad_fn for tensor in self._known if tensor.grad_fn is not None}
        computed_nodes = {tensor.grad_fn for tensor in self._computed if tensor.grad_fn}
        for node in walk(root, known_nodes, computed_nodes):
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                self._add(leaf)
            elif node in computed_nodes:
                for tensor in self._computed:
                    if tensor.grad_fn is node:
                        self._add(tensor)
            elif node._sequence_nr() < oldest:
                raise CapturedTensorError(
                    f"f reads a tensor that was computed before the solve (by {node.name()}) and "
                    f"through which a gradient would flow, but symadj was not given it and cannot "
                    f"find it by itself. Hand it to f by args=(tensor,), or name it: "
                    f"adjoint_params=(*module.parameters(), tensor). If it should have no "
                    f"gradient, detach() it."
                )

    def _add(self, leaf: Tensor) -> None:
        if any(leaf is tensor for tensor in self._own):
            return
        self.seen.append(leaf)
        if not any(leaf is tensor for tensor in (*self._known, *self.found)):
            self.found.append(leaf)


def next_node() -> int:
    """Return the number that the next node of a graph gets; those that are there have less."""
    return int(torch.autograd._get_sequence_nr())  # type: ignore[attr-defined]


def walk(root: Node, borders: Iterable[Node] = (), ends: Set[Node] = frozenset()) -> Iterator[Node]:
    """Visit the nodes of a graph once each, none of the borders or beyond, the ends last."""
    seen = set(borders)
    waiting = [] if root in seen else [root]
    seen.add(root)
    while waiting:
        node = waiting.pop()
        yield node
        if node in ends:
            continue
        for next_node, _ in node.next_functions:
            if next_node is not None and next_node not in seen:
                seen.add(next_node)
                waiting.append(next_node)


class KnownTensors:
    """The tensors that get a gradient, to hold the graphs of evaluations against.

    They are known by their places in the graph: the tensors themselves may be others by now, where
    the caller has torch pack what it saves.

    Parameters
    ----------
    params : iterable of Tensor
    """

    def __init__(self, params: Iterable[Tensor]) -> None:
        with torch.enable_grad():
            self._nodes = {get_gradient_edge(param).node for param in params}

    def check(self, root: Node, *own: Tensor) -> None:
        """Raise if the graph of an evaluation has a leaf that is not known.

        Parameters
        ----------
        root : Node
        own : Tensor
            The evaluation's own time and state.
        """
        leaves = (
            node.variable
            for node in walk(root, self._nodes)
            if not node.next_functions and hasattr(node, "variable")
        )
        unknown = [
            tuple(leaf.shape) for leaf in leaves if not any(leaf is tensor for tensor in own)
        ]
        if unknown:
            raise CapturedTensorError(
                f"f reads a tensor that it did not read at first, and that is not in reach of its "
                f"code (of a shape among {unknown}): its gradient would be lost. Hand it to f by "
                f"args=(tensor,), or name it: adjoint_params=(*module.parameters(), tensor)."
            )


def check_histories(params: Iterable[Tensor]) -> None:
    """Raise if one of the tensors was computed from another of them.

    The gradient with respect to the second would then hold what reaches it through the first, and
    autograd would add that once more when it goes on from the first.
    """
    params = list(params)
    leaves = {id(param) for param in params}
    nodes = {param.grad_fn for param in params if param.grad_fn is not None}
    for param in params:
        if param.grad_fn is None:
            continue
        for node in walk(param.grad_fn):
            inner = node is not param.grad_fn and node in nodes
            if inner or id(getattr(node, "variable", None)) in leaves:
                raise CapturedTensorError(
                    f"adjoint_params holds a tensor of shape {tuple(param.shape)} that was "
                    f"computed (by {param.grad_fn.name()}) from another one of them, so that their "
                    f"gradients would be mixed up. Hand it to f by args=(tensor,) instead."
                )


def candidates(in_reach: Iterable[Tensor], params: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Return what another evaluation might read, beside the parameters.

    Left out is what was computed from others of them, and what others of them were computed from:
    their gradients would be mixed up (see `check_histories`). Should ``f`` read it, it is refused.
    """
    params = list(params)
    known = {id(param) for param in params}
    others = [tensor for tensor in in_reach if id(tensor) not in known]
    leaves = [tensor for tensor in others if tensor.grad_fn is None]
    computed = [(x, root) for x in (*params, *others) if (root := x.grad_fn) is not None]
    if not computed:
        return tuple(leaves)
    sources: set[int] = set()
    chosen = []
    for tensor, root in computed:
        history = set(walk(root)) - {root}
        behind = {id(getattr(node, "variable", None)) for node in history}
        sources |= behind
        is_alone = not behind & {id(other) for other in (*params, *leaves)}
        is_alone &= not any(other in history for _, other in computed)
        if id(tensor) not in known and is_alone:
            chosen.append(tensor)
    return (*(leaf for leaf in leaves if id(leaf) not in sources), *chosen)


def tensors_in_reach(func: object) -> list[Tensor]:
    """Return the tensors requiring a gradient that the code of ``func`` may read.

    Looked at are closures, globals by name, defaults, partial arguments, bound objects and their
    attributes, and what these hold in containers; not what is reached by computed names.
    """
    reach = _Reach()
    reach.look(func)
    return list(reach.found.values())


class _Reach:
    """A walk from a function over what it refers to."""

    def __init__(self) -> None:
        self.found: dict[int, Tensor] = {}
        self._seen: set[int] = set()

    def look(self, value: Any, depth: int = 0) -> None:
        """Look at a value, and on from it."""
        if depth > MAX_DEPTH or id(value) in self._seen:
            return
        self._seen.add(id(value))
        for held in self._held(value):
            if type(held) not in SIMPLE_TYPES:
                self.look(held, depth + 1)

    def _held(self, value: Any) -> Iterable[Any]:  # noqa: PLR0911 - one line for each kind
        if isinstance(value, Tensor):
            if value.requires_grad:
                self.found[id(value)] = value
            return ()
        if isinstance(value, nn.Module):
            held: list[Any] = list(value.parameters())
            for module in value.modules():
                self._seen.add(id(module))  # their parameters are there already
                if not _is_torchs(type(module)):
                    held += (*vars(module).values(), type(module).forward)
            return held
        if isinstance(value, dict):
            return list(value.values())[:MAX_ITEMS]
        if isinstance(value, list | tuple | set | frozenset):
            return list(value)[:MAX_ITEMS]
        if isinstance(value, functools.partial):
            return (value.func, value.args, value.keywords)
        if isinstance(value, types.MethodType):
            return (value.__self__, value.__func__)
        if isinstance(value, types.FunctionType):
            return () if _is_torchs(value) else _read_by_code(value)
        if isinstance(value, type | types.ModuleType) or _is_torchs(type(value)):
            return ()
        return (getattr(value, "__dict__", {}), vars(type(value)).get("__call__"))


MAX_DEPTH = 6
"""References followed from ``f`` on, one after the other."""

MAX_ITEMS = 1000
"""Items looked at in a container."""

SIMPLE_TYPES = frozenset({types.NoneType, bool, int, float, str, types.ModuleType})
"""What refers to nothing, and modules, of which a code's own names alone are looked at."""


def _is_torchs(value: Any) -> bool:
    """Whether torch itself, which captures nothing of the caller's, has defined this."""
    module = getattr(value, "__module__", None) or ""
    return module == "torch" or module.startswith("torch.")


def _read_by_code(function: types.FunctionType) -> Iterator[Any]:
    """Yield what a function's closure, defaults and named globals hold."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    yield function.__defaults__
    yield function.__kwdefaults__
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        for name in code.co_names:
            if name in function.__globals__:
                yield function.__globals__[name]
        codes += [const for const in code.co_consts if isinstance(const, types.CodeType)]
