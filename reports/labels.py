"""Names and marks of methods and problems. What is not known here appears under its own name."""

import hashlib
import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

from reports.records import ProblemFacts

BASE_METHOD = "torchdiffeq-backprop"
OWN_METHODS = ("symadj", "symadj-stages", "symadj-compiled")


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

    `is_exact` tells whether its gradient is known to be that of the steps taken, up to rounding;
    `code` is what to write to use it, or "" if there is no one line.
    """

    name: str
    short: str
    explanation: str
    style: Style
    is_exact: bool = True
    code: str = ""


_METHODS = {
    "symadj": MethodLabel(
        "symadj",
        "symadj",
        "symplectic adjoint: exact; keeps the accepted states, replays each step's stages",
        Style("#0072b2", "circle"),
        code="symadj.odeint(f, y0, t)",
    ),
    "symadj-stages": MethodLabel(
        "symadj (stages kept)",
        "symadj stages",
        "symplectic adjoint: exact; keeps the stage states too, so nothing is replayed",
        Style("#2f97d6", "square"),
        code='symadj.odeint(f, y0, t, checkpoints="stages")',
    ),
    "symadj-compiled": MethodLabel(
        "symadj (compiled)",
        "symadj compiled",
        "symplectic adjoint: exact; keeps the stage states too, each step one graph of "
        "torch.compile, made in the first call",
        Style("#004c7f", "star"),
        code='symadj.odeint(f, y0, t, checkpoints="stages", options={"compile": True})',
    ),
    "torchdiffeq-backprop": MethodLabel(
        "torchdiffeq backprop",
        "backprop",
        "torchdiffeq's odeint: exact; the graph of every stage of every step is kept",
        Style("#737373", "diamond"),
        code="torchdiffeq.odeint(f, y0, t)",
    ),
    "torchdiffeq-adjoint": MethodLabel(
        "torchdiffeq adjoint",
        "adjoint",
        "torchdiffeq's odeint_adjoint: a second ODE backwards in time; not exact",
        Style("#d55e00", "triangle-up"),
        is_exact=False,
        code="torchdiffeq.odeint_adjoint(f, y0, t)",
    ),
    "checkpoint-solve": MethodLabel(
        "checkpoint per solve",
        "ckpt solve",
        "exact; the whole solve is run again with its graph",
        Style("#00936b", "triangle-down"),
        code="torch.utils.checkpoint.checkpoint(torchdiffeq.odeint, f, y0, t, use_reentrant=False)",
    ),
    "checkpoint-step": MethodLabel(
        "checkpoint per step (ACA)",
        "ckpt step",
        "exact; each step is run again with its graph",
        Style("#b8579a", "cross"),
    ),
    "torchdiffeq-seminorm": MethodLabel(
        "torchdiffeq seminorm",
        "seminorm",
        "torchdiffeq's odeint_adjoint with the seminorm of Kidger et al. 2021: fewer steps back",
        Style("#c0504d", "triangle-down"),
        is_exact=False,
        code='torchdiffeq.odeint_adjoint(f, y0, t, adjoint_options={"norm": "seminorm"})',
    ),
    "paper-symplectic": MethodLabel(
        "the paper's code",
        "paper",
        "torch_symplectic_adjoint, the code that came with the paper",
        Style("#7a5cc4", "star"),
        code="torch_symplectic_adjoint.odeint_symplectic_adjoint(f, y0, t)",
    ),
    "paper-aca": MethodLabel(
        "the paper's code (ACA)",
        "paper ACA",
        "a checkpoint per step, by the code that came with the paper",
        Style("#9a6fd0", "x"),
        code="torch_symplectic_adjoint.odeint_checkpoint(f, y0, t)",
    ),
    "torchode": MethodLabel(
        "torchode backprop",
        "torchode",
        "backpropagation through torchode, which takes steps of its own for each sample",
        Style("#8c6d00", "square"),
    ),
    "diffrax-recursive": MethodLabel(
        "diffrax recursive",
        "diffrax",
        "diffrax's RecursiveCheckpointAdjoint, jitted by JAX: exact for its own steps",
        Style("#4e7f1f", "diamond"),
    ),
    "diffrax-backsolve": MethodLabel(
        "diffrax backsolve",
        "diffrax backsolve",
        "diffrax's BacksolveAdjoint, jitted by JAX: a second ODE backwards in time; not exact",
        Style("#4e7f1f", "triangle-up"),
        is_exact=False,
    ),
    "mali": MethodLabel(
        "MALI",
        "MALI",
        "the reversible asynchronous leapfrog of Zhuang et al. 2021: exact, in constant memory",
        Style("#a0522d", "star"),
    ),
}
# For methods that are not known here: hues that no known method has, in every shape.
_SPARE_STYLES = tuple(
    Style(color, marker)
    for marker, color in itertools.product(
        ("x", "star", "square", "triangle-up", "diamond", "circle", "triangle-down", "cross"),
        ("#3f7f8f", "#9c3d54", "#6b7a1a", "#8a6a4f", "#5a6fb0", "#b0527a"),
    )
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
        It exists to be scaled along one axis; it is left out of the overview.
    source : str
        Where it was published, if the results tell.
    data : str
        "real", "computed" (from a known equation), "synthetic", or "" if that is not known.
    """

    name: str
    explanation: str
    is_axis: bool = False
    source: str = ""
    data: str = ""


_DIGITS = "the 1,797 handwritten digits that ship inside scikit-learn"
_MLP = "A plain multilayer perceptron"
_FLOW = "A continuous normalizing flow"
_PROBLEMS = {
    "digits-classifier": ProblemLabel(
        "Digits classifier", f"An ODE classifier of {_DIGITS}.", data="real"
    ),
    "digits-cnf": ProblemLabel(
        "Digits flow (CNF)",
        f"{_FLOW} on {_DIGITS}; the right-hand side calls autograd inside itself.",
        data="real",
    ),
    "kdv": ProblemLabel(
        "Korteweg-de Vries",
        "A learned energy whose flow reproduces Korteweg-de Vries trajectories, computed by a "
        "spectral solver.",
        data="computed",
    ),
    "cnf-power": ProblemLabel("POWER flow (d = 6)", f"{_FLOW} of 6-dimensional data."),
    "cnf-gas": ProblemLabel("GAS flow (d = 8)", f"{_FLOW} of 8-dimensional data."),
    "cnf-hepmass": ProblemLabel("HEPMASS flow (d = 21)", f"{_FLOW} of 21-dimensional data."),
    "cnf-miniboone": ProblemLabel("MINIBOONE flow (d = 43)", f"{_FLOW} of 43-dimensional data."),
    "cnf-bsds300": ProblemLabel("BSDS300 flow (d = 63)", f"{_FLOW} of 63-dimensional data."),
    "cnf-mnist": ProblemLabel("MNIST flow (images)", f"{_FLOW} of images, on several scales."),
    "cahn-hilliard": ProblemLabel(
        "Cahn-Hilliard", "A learned energy whose flow reproduces Cahn-Hilliard trajectories."
    ),
    "odenet": ProblemLabel("ODE-Net", "An image classifier with a convolutional ODE block."),
    "latent-ode": ProblemLabel(
        "Latent ODE", "A latent state decoded along a solve, from observations at irregular times."
    ),
    "hamiltonian-spring": ProblemLabel(
        "Spring (Hamiltonian)", "A learned Hamiltonian, fitted to noisy paths of a spring."
    ),
    "hamiltonian-pendulum": ProblemLabel(
        "Pendulum (Hamiltonian)", "A learned Hamiltonian, fitted to noisy paths of a pendulum."
    ),
    "robertson": ProblemLabel("Robertson (stiff)", "Stiff chemical kinetics with learned rates."),
    "spiral": ProblemLabel("Spiral", "A small network that learns a spiral."),
    "mlp-order": ProblemLabel(
        "MLP over tableau order",
        f"{_MLP}, solved with Runge-Kutta methods of rising order.",
        is_axis=True,
        data="synthetic",
    ),
    "mlp-size": ProblemLabel(
        "MLP over network size",
        "Plain multilayer perceptrons of rising size.",
        is_axis=True,
        data="synthetic",
    ),
    "mlp-steps": ProblemLabel(
        "MLP over number of steps",
        f"{_MLP}, solved with a rising number of fixed steps.",
        is_axis=True,
        data="synthetic",
    ),
    "mlp-overhead": ProblemLabel(
        "MLP above its floor",
        f"{_MLP}; held against the evaluations and products alone that its gradient needs.",
        is_axis=True,
        data="synthetic",
    ),
    "mlp-checkpoints": ProblemLabel(
        "MLP over checkpoints",
        f"{_MLP}; what is kept of the trajectory varies.",
        is_axis=True,
        data="synthetic",
    ),
    "kdv-checkpoints": ProblemLabel(
        "Korteweg-de Vries over checkpoints",
        "A learned energy whose flow reproduces Korteweg-de Vries trajectories, on a fixed grid of "
        "steps; the number of checkpoints varies.",
        is_axis=True,
        data="computed",
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
    "activations": (
        "activations",
        "the graph of every evaluation is kept from the forward pass; nothing is evaluated again",
    ),
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
        Every method of the report, so that two unknown ones get different styles.
    """
    if method in _METHODS:
        return _METHODS[method]
    style = _spare_styles(tuple(sorted({*others, method})))[method]
    return MethodLabel(method, method, "not described here", style, is_exact=False)


@lru_cache(maxsize=16)
def _spare_styles(names: tuple[str, ...]) -> dict[str, Style]:
    """A style for each unknown method: the one its name stands for, or the next that is free.

    So a method looks the same in every report, whatever else is in it, but for a rare collision.
    """
    styles: dict[str, Style] = {}
    free = list(range(len(_SPARE_STYLES)))
    for name in names:
        if name in _METHODS:
            continue
        wanted = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(_SPARE_STYLES)
        place = next((p for p in free if p >= wanted), free[0])
        styles[name] = _SPARE_STYLES[place]
        free.remove(place)
        free = free or list(range(len(_SPARE_STYLES)))
    return styles


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


def problem_label(problem: str, facts: ProblemFacts | None = None) -> ProblemLabel:
    """Label of a problem, with what the results tell of it."""
    label = _PROBLEMS.get(problem, ProblemLabel(problem, ""))
    if facts is None:
        return label
    data = facts.data or label.data
    name = label.name
    if data == "synthetic" and not label.is_axis:  # an axis has no other data
        name = f"{name}, synthetic"
    return replace(label, name=name, source=facts.source, data=data)


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
