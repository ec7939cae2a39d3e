"""Sums of matrix products in a graph, as one product of what they are made of side by side.

The gradient of a weight in a step is ``Σ_i G_iᵀ X_i``, over its stages. Where the batch is smaller
than the weight, each product is done with writing it down: so it is written down once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.fx import Graph, GraphModule, Node

aten = torch.ops.aten


def group_products(module: GraphModule) -> None:
    """Group the products of every sum in a graph for which that is less work."""
    for node in list(module.graph.nodes):
        if _is_sum(node) and not any(_is_sum(user) for user in node.users):
            _group(module.graph, node)
    module.graph.eliminate_dead_code()
    module.recompile()


def _is_sum(node: Node) -> bool:
    return node.target is aten.add.Tensor and not node.kwargs and _are_nodes(node.args)


def _are_nodes(args: Sequence[Any]) -> bool:
    return all(isinstance(arg, Node) for arg in args)


def _terms(node: Any) -> Iterator[Node]:
    """Yield what a sum is made of, but for what others read too."""
    for arg in node.args:
        if _is_sum(arg) and len(arg.users) == 1:
            yield from _terms(arg)
        else:
            yield arg


def _product(term: Node) -> tuple[Node | None, bool]:
    """Return the product that a term is, or is the transpose of, and whether it is the latter.

    None if it is no product, or others read it too.
    """
    is_transposed = False
    while _is_transpose(term) and len(term.users) == 1:
        is_transposed = not is_transposed
        (term, _) = term.args  # type: ignore[assignment]
    is_one = term.target is aten.mm.default and len(term.users) == 1
    return (term if is_one else None), is_transposed


def _is_transpose(node: Any) -> bool:
    return node.target is aten.permute.default and list(node.args[1]) == [1, 0]


def _pays(product: Node) -> bool:
    """Whether the factors of a product are written more cheaply than itself."""
    (m, k), (_, n) = (arg.meta["val"].shape for arg in product.args)  # type: ignore[union-attr]
    # To set the factors side by side they are read and written; a product is, and added.
    return bool(2 * k * (m + n) < 3 * m * n)


def _group(graph: Graph, root: Node) -> None:
    """Replace a sum, if some of its terms can be grouped."""
    found, others = [], []
    are_transposed: bool | None = None
    for term in _terms(root):
        product, is_transposed = _product(term)
        is_whole = term.meta["val"].shape == root.meta["val"].shape
        is_alike = is_whole and are_transposed in (None, is_transposed)
        if product is not None and is_alike and _pays(product):
            are_transposed = is_transposed
            found.append(product)
        else:
            others.append(term)
    if len(found) < 2:
        return
    with graph.inserting_before(root):
        lefts, rights = zip(*(product.args for product in found), strict=True)
        total = _add(graph, aten.mm.default, _beside(graph, lefts), _cat(graph, rights, 0))
        if are_transposed:
            total = _add(graph, aten.permute.default, total, [1, 0])
        for other in others:
            total = _add(graph, aten.add.Tensor, total, other)
    root.replace_all_uses_with(total)


def _beside(graph: Graph, factors: Sequence[Any]) -> Node:
    """Return left factors side by side; where they are transposed, what they are transposed of."""
    if all(map(_is_transpose, factors)):
        below = _cat(graph, [x.args[0] for x in factors], 0)
        return _add(graph, aten.permute.default, below, [1, 0])
    return _cat(graph, factors, 1)


def _cat(graph: Graph, parts: Sequence[Any], dim: int) -> Node:
    return _add(graph, aten.cat.default, list(parts), dim)


def _add(graph: Graph, target: Any, *args: Any) -> Node:
    """Add an operation, and what its result looks like."""
    node = graph.call_function(target, args)
    node.meta["val"] = target(*torch.fx.node.map_arg(args, lambda arg: arg.meta["val"]))
    return node
