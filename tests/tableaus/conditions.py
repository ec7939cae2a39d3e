"""How far a tableau is from satisfying the order conditions, explicit or implicit."""

from fractions import Fraction

from symadj.tableaus import ButcherTableau
from tests.tableaus.rooted_trees import ElementaryWeights, density, rooted_trees


def elementary_weights(tableau: ButcherTableau) -> ElementaryWeights:
    """Elementary weights of all slopes, with the step itself as the end slope's row."""
    return ElementaryWeights((*tableau.rows, tableau.weights[:-1]))


def largest_defect(tableau: ButcherTableau, weights, num_vertices: int) -> Fraction:
    """Largest ``|γ(t) Σ_i b_i Φ_i(t) - 1|`` over the trees ``t`` with that many vertices."""
    phi = elementary_weights(tableau)
    return max(
        abs(density(tree) * sum(b * p for b, p in zip(weights, phi(tree), strict=True)) - 1)
        for tree in rooted_trees(num_vertices)
    )


def largest_dense_defect(tableau: ButcherTableau, num_vertices: int) -> Fraction:
    """Largest coefficient of ``γ(t) Σ_i w_i(θ) Φ_i(t) - θ^|t|`` over those trees.

    Two polynomials agree at every θ exactly if their coefficients agree.
    """
    phi = elementary_weights(tableau)
    degree = len(tableau.dense_output[0])
    defects = []
    for tree in rooted_trees(num_vertices):
        coefficients = [
            density(tree)
            * sum(row[k] * p for row, p in zip(tableau.dense_output, phi(tree), strict=True))
            for k in range(degree)
        ]
        coefficients += [Fraction(0)] * (num_vertices - degree)
        coefficients[num_vertices - 1] -= 1
        defects += [abs(coefficient) for coefficient in coefficients]
    return max(defects)


def dense_weights(tableau: ButcherTableau, theta: Fraction) -> list[Fraction]:
    """``w_i(θ)`` of every slope."""
    return [sum(r * theta ** (k + 1) for k, r in enumerate(row)) for row in tableau.dense_output]


def dense_derivatives(tableau: ButcherTableau, theta: Fraction) -> list[Fraction]:
    """``w_i'(θ)`` of every slope."""
    return [sum((k + 1) * r * theta**k for k, r in enumerate(row)) for row in tableau.dense_output]
