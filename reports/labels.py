"""Names and marks of methods and problems. What is not known here appears under its own name."""

from dataclasses import dataclass

BASE_METHOD = "torchdiffeq-backprop"
OWN_METHODS = ("symadj", "symadj-stages")


@dataclass(frozen=True)
class Style:
    """How a method looks, everywhere: colour and shape, so that print and any eye can tell.

    Attributes
    ----------
    color : str
        At least 3:1 against white and against the dark page; apart for the colour-blind (Okabe
        and Ito's hues, some of them darkened).
    marker : str
        Shape: circle, square, diamond, triangle-up, triangle-down, cross, x or star.
    """

    color: str
    marker: str


@dataclass(frozen=True)
class MethodLabel:
    """A method's name in tables, its short name beside a point, and what it does.

    `is_exact` tells whether its gradient is known to be that of the steps taken, up to rounding.
    """

    name: str
    short: str
    explanation: str
    style: Style
    is_exact: bool = True


_METHODS = {
    "symadj": MethodLabel(
        "symadj",
        "symadj",
        "symplectic adjoint: exact; keeps the accepted states, replays each step's stages",
        Style("#0072b2", "circle"),
    ),
    "symadj-stages": MethodLabel(
        "symadj (stages kept)",
        "symadj stages",
        "symplectic adjoint: exact; keeps the stage states too, so nothing is replayed",
        Style("#2f97d6", "square"),
    ),
    "torchdiffeq-backprop": MethodLabel(
        "torchdiffeq backprop",
        "backprop",
        "torchdiffeq's odeint: exact; the graph of every stage of every step is kept",
        Style("#737373", "diamond"),
    ),
    "torchdiffeq-adjoint": MethodLabel(
        "torchdiffeq adjoint",
        "adjoint",
        "torchdiffeq's odeint_adjoint: a second ODE backwards in time; not exact",
        Style("#d55e00", "triangle-up"),
        is_exact=False,
    ),
    "checkpoint-solve": MethodLabel(
        "checkpoint per solve",
        "ckpt solve",
        "exact; the whole solve is run again with its graph",
        Style("#00936b", "triangle-down"),
    ),
    "checkpoint-step": MethodLabel(
        "checkpoint per step (ACA)",
        "ckpt step",
        "exact; each step is run again with its graph",
        Style("#b8579a", "cross"),
    ),
}
_SPARE_STYLES = (
    Style("#8c6d00", "x"),
    Style("#7a5cc4", "star"),
    Style("#a0522d", "circle"),
    Style("#3f7f8f", "square"),
)


@dataclass(frozen=True)
class ProblemLabel:
    """A problem's name and what it is.

    Attributes
    ----------
    name : str
        Heading.
    explanation : str
        One or two sentences: what is solved, on which data.
    is_axis : bool
        It exists to be scaled along one axis; it is shown on the scaling page, not in the overview.
    """

    name: str
    explanation: str
    is_axis: bool = False


_PROBLEMS = {
    "digits-classifier": ProblemLabel(
        "Digits classifier",
        "An ODE classifier of the 1,797 handwritten digits that ship inside scikit-learn (real "
        "data).",
    ),
    "digits-cnf": ProblemLabel(
        "Digits flow (CNF)",
        "A continuous normalizing flow on the 1,797 handwritten digits that ship inside "
        "scikit-learn (real data); the right-hand side calls autograd inside itself.",
    ),
    "kdv": ProblemLabel(
        "Korteweg-de Vries",
        "A learned energy whose flow reproduces Korteweg-de Vries trajectories, computed by a "
        "spectral solver (synthetic data).",
    ),
    "mlp-order": ProblemLabel(
        "MLP over tableau order",
        "A plain multilayer perceptron, solved with Runge-Kutta methods of rising order "
        "(synthetic data).",
        is_axis=True,
    ),
    "mlp-size": ProblemLabel(
        "MLP over network size",
        "Plain multilayer perceptrons of rising size (synthetic data).",
        is_axis=True,
    ),
    "mlp-steps": ProblemLabel(
        "MLP over number of steps",
        "A plain multilayer perceptron, solved with a rising number of fixed steps (synthetic "
        "data).",
        is_axis=True,
    ),
    "mlp-checkpoints": ProblemLabel(
        "MLP over checkpoints",
        "A plain multilayer perceptron; what is kept of the trajectory varies (synthetic data).",
        is_axis=True,
    ),
    "kdv-checkpoints": ProblemLabel(
        "Korteweg-de Vries over checkpoints",
        "A learned energy whose flow reproduces Korteweg-de Vries trajectories, on a fixed grid of "
        "steps; the number of checkpoints varies (synthetic data).",
        is_axis=True,
    ),
}

_CHECKPOINTS = {
    "states": ("states", "every accepted state is kept; each step's stages are made again"),
    "graphs": (
        "graphs",
        "every accepted state is kept; a step's stages are made again with all their graphs at "
        "once, so none is made twice",
    ),
    "stages": ("stages", "every stage state is kept too; nothing is made again"),
}

_TABLEAU_ORDERS = {
    "euler": 1,
    "midpoint": 2,
    "heun2": 2,
    "adaptive_heun": 2,
    "fehlberg2": 2,
    "heun3": 3,
    "bosh3": 3,
    "rk4": 4,
    "rk4_classic": 4,
    "dopri5": 5,
    "tsit5": 5,
    "dopri8": 8,
}


def method_label(method: str, others: tuple[str, ...] = ()) -> MethodLabel:
    """Label of a method.

    Parameters
    ----------
    method : str
        Name in the results.
    others : tuple of str
        Every method shown, so that two unknown ones get different styles.
    """
    if method in _METHODS:
        return _METHODS[method]
    unknown = sorted({name for name in (*others, method) if name not in _METHODS})
    style = _SPARE_STYLES[unknown.index(method) % len(_SPARE_STYLES)]
    return MethodLabel(method, method, "not described here", style, is_exact=False)


def method_order(method: str) -> tuple[int, str]:
    """Key that sorts methods: the known ones in a fixed order, the others by name."""
    known = list(_METHODS)
    return (known.index(method) if method in _METHODS else len(known), method)


def checkpoints_label(kept: int | str) -> str:
    """Short name of a setting of the checkpoints, for use beside a point.

    >>> checkpoints_label(4), checkpoints_label("states")
    ('C=4', 'states')
    """
    if isinstance(kept, int):
        return f"C={kept}"
    return _CHECKPOINTS[kept][0] if kept in _CHECKPOINTS else kept


def explained_checkpoints() -> tuple[tuple[str, str], ...]:
    """Short name and meaning of every setting that is known."""
    count = ("C", "at most C states are kept at once; the others are made again from them")
    return (count, *_CHECKPOINTS.values())


def problem_label(problem: str) -> ProblemLabel:
    """Label of a problem."""
    return _PROBLEMS.get(problem, ProblemLabel(problem, ""))


def problem_order(problem: str) -> tuple[int, str]:
    """Key that sorts problems: known work, unknown work, known axes."""
    known = list(_PROBLEMS)
    if problem not in _PROBLEMS:
        return (len(known), problem)
    return (known.index(problem) + (2 * len(known) if problem_label(problem).is_axis else 0), "")


def tableau_label(tableau: str) -> str:
    """Name of a tableau with its order, where that is known."""
    order = _TABLEAU_ORDERS.get(tableau)
    return tableau if order is None else f"{tableau} order {order}"


def tableau_order(tableau: str) -> tuple[int, str]:
    """Key that sorts tableaus by order of accuracy, unknown ones last."""
    return (_TABLEAU_ORDERS.get(tableau, 99), tableau)
