"""One evaluation of the field with its graph, through which cotangents are to be pulled back."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from symadj.forward.field import Field
from symadj.state import Packing


class Root(NamedTuple):
    """Where the graph of a slope begins, without the numbers of the slope.

    Attributes
    ----------
    edge : GradientEdge
    shape : torch.Size
    dtype : torch.dtype
    """

    edge: GradientEdge
    shape: torch.Size
    dtype: torch.dtype


class Evaluation(NamedTuple):
    """One evaluation of the field, with its graph.

    Attributes
    ----------
    t : Tensor, shape ()
    leaves : tuple of Tensor
        The graph's leaves: the parts of the state in their shapes, or the flat state.
    slopes : sequence of Tensor or Root
        What ``f`` returned, in the same form; or what its graph begins with.
    """

    t: Tensor
    leaves: tuple[Tensor, ...]
    slopes: Sequence[Tensor | Root]

    @property
    def roots(self) -> list[Node]:
        """The nodes with which its graph begins."""
        nodes = (
            slope.edge.node if isinstance(slope, Root) else slope.grad_fn for slope in self.slopes
        )
        return [node for node in nodes if node is not None]

    def slope(self, packing: Packing) -> Tensor:
        """Return the slope, shape (n,), cut from its graph."""
        return packing.join([x.detach() for x in self.slopes if isinstance(x, Tensor)])

    def without_slopes(self) -> "Evaluation":
        """Return an evaluation that keeps its graph alive, but no slope that the graph does not."""
        return Evaluation(self.t, self.leaves, [_root(slope) for slope in self.slopes])


def evaluate(field: Field, t: Tensor, y: Tensor, *, want_time: bool) -> Evaluation:
    """Evaluate ``f`` with a graph, in grad mode.

    Parameters
    ----------
    field : Field
    t : Tensor, shape ()
    y : Tensor, shape (n,)
    want_time : bool
        Whether time is to be a leaf of the graph, too.
    """
    # The parts in their shapes are the leaves: so the graph is that of f, and nothing else.
    leaves = field.packing.split(y.detach() if y.requires_grad else y)
    for leaf in leaves:
        leaf.requires_grad_()
    if want_time:
        t = t.detach().requires_grad_()
    return Evaluation(t, leaves, field.evaluate(t, leaves))


def _root(slope: Tensor | Root) -> Tensor | Root:
    if isinstance(slope, Root) or not slope.requires_grad:
        return slope
    return Root(get_gradient_edge(slope), slope.shape, slope.dtype)
