"""Rooted trees and the order conditions of Runge-Kutta methods.

A method of order p satisfies ``Σ_i b_i Φ_i(t) = 1 / γ(t)`` for every rooted tree ``t`` with at most
p vertices, and no method of order p satisfies it for all trees with p + 1 vertices unless its order
is higher (Butcher 1963; Hairer, Norsett & Wanner I, Theorem II.2.13).

A tree is the sorted tuple of the trees that hang from its root; the tree of one vertex is ``()``.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

Tree = tuple["Tree", ...]


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Ways of writing ``total`` as a sum of non-increasing parts up to ``largest``."""
    if total == 0:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)


def _forests(parts: tuple[int, ...]) -> set[Tree]:
    """Multisets of trees with these numbers of vertices, each as a sorted tuple."""
    if not parts:
        return {()}
    first, *rest = parts
    return {
        tuple(sorted((tree, *forest)))
        for forest in _forests(tuple(rest))
        for tree in rooted_trees(first)
    }


@cache
def rooted_trees(num_vertices: int) -> tuple[Tree, ...]:
    """All rooted trees with ``num_vertices`` vertices, each once."""
    below = num_vertices - 1
    trees = {forest for parts in _partitions(below, below) for forest in _forests(parts)}
    return tuple(sorted(trees))


def order(tree: Tree) -> int:
    """Number of vertices, |t|."""
    return 1 + sum(order(child) for child in tree)


def density(tree: Tree) -> int:
    """γ(t): the product, over all vertices, of the number of vertices from there upwards."""
    return order(tree) * math.prod(density(child) for child in tree)


def symmetry(tree: Tree) -> int:
    """σ(t): the number of ways in which the tree maps onto itself."""
    return math.prod(
        math.factorial(count) * symmetry(child) ** count for child, count in Counter(tree).items()
    )


def _dot(row: Sequence[Fraction], slopes: Sequence[Fraction]) -> Fraction:
    before = slopes[: len(row)]
    return sum((a * phi for a, phi in zip(row, before, strict=True) if a), start=Fraction(0))


class ElementaryWeights:
    """Φ_i(t) for the slopes i of a method, explicit or implicit, from the rows of its matrix.

    Parameters
    ----------
    rows
        Row ``i`` holds the weights, in the argument of slope ``i``, of the first slopes: of those
        before it, for an explicit method; of all the stages, for an implicit one.
    """

    def __init__(self, rows: Sequence[Sequence[Fraction]]) -> None:
        self._rows = rows
        self._known: dict[Tree, tuple[Fraction, ...]] = {}

    def __call__(self, tree: Tree) -> tuple[Fraction, ...]:
        """Φ_i(t) for every slope: the product over the children u of Σ_j a_ij Φ_j(u)."""
        if tree not in self._known:
            children = [self(child) for child in tree]
            self._known[tree] = tuple(
                math.prod((_dot(row, child) for child in children), start=Fraction(1))
                for row in self._rows
            )
        return self._known[tree]
