"""Tensors that ``f`` reads without being given them: closures, globals, attributes.

Nobody can list them, but the graph of one evaluation of ``f`` shows them: a leaf of that graph is a
tensor from which a gradient would flow, and a node that is older than the evaluation belongs to the
history of a tensor that was computed before.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.autograd.graph import Node

from symadj.errors import CapturedTensorError
from symadj.forward.field import Field


class CapturedTensors:
    """Finds the tensors that ``f`` captures, as the inspector of a `Field`.

    Parameters
    ----------
    known : iterable of Tensor
        What symadj was given already.

    Attributes
    ----------
    found : list of Tensor
        Leaf tensors that require a gradient, are read by ``f`` and are not known.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._known = list(known)
        self.found: list[Tensor] = []

    def __call__(self, field: Field, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the field with a graph, and look at the graph.

        Raises
        ------
        CapturedTensorError
            If ``f`` reads a tensor that was computed from others before, and was not given.
        """
        with torch.enable_grad():
            marker = torch.zeros((), requires_grad=True).view(()).grad_fn
            slope = field(t, y)
        if slope.grad_fn is not None and marker is not None:
            self._look(slope.grad_fn, marker._sequence_nr())
        elif slope.requires_grad:
            self._add(slope)
        return slope.detach()

    def _look(self, root: Node, oldest: int) -> None:
        """Walk the graph from ``root`` to its leaves, and to the edge of what was given."""
        known_nodes = {tensor.grad_fn for tensor in self._known if tensor.grad_fn is not None}
        seen, waiting = {root}, [root]
        while waiting:
            node = waiting.pop()
            if node in known_nodes:
                continue
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                self._add(leaf)
                continue
            if node._sequence_nr() < oldest:
                raise CapturedTensorError(
                    f"f reads a tensor that was computed before the solve (by {node.name()}) and "
                    f"through which a gradient would flow, but symadj was not given it and cannot "
                    f"find it by itself. Name it: adjoint_params=(*module.parameters(), tensor). "
                    f"If it should have no gradient, detach() it."
                )
            for next_node, _ in node.next_functions:
                if next_node is not None and next_node not in seen:
                    seen.add(next_node)
                    waiting.append(next_node)

    def _add(self, leaf: Tensor) -> None:
        if not any(leaf is tensor for tensor in (*self._known, *self.found)):
            self.found.append(leaf)
