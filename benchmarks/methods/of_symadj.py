"""symadj, at every point of its dial."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Method, Solve
from .packages import SYMADJ, load

try:
    from symadj.adjoint.binomial import optimal_replays
except ImportError:  # symadj is not there, or of before it could keep a bounded number of states
    optimal_replays = None  # type: ignore[assignment]

COUNTS = (1, 2, 4, 8, 16, 32)
"""The numbers of checkpoints on the dial of symadj."""

DIAL: Mapping[str | int, Mapping[str, Any]] = MappingProxyType(
    {
        **{count: {"checkpoints": count} for count in COUNTS},
        "states": {"checkpoints": None},
        "graphs": {"checkpoints": None, "options": {"graphs": 100}},
        "stages": {"checkpoints": "stages"},
        "activations": {"checkpoints": "activations"},
    }
)
"""What symadj can be told to keep: the settings of its dial, as arguments of its solve.

At most so many states; every accepted state; these, and in the backward pass the graphs of all of
a step's stages at once; every stage state too; the graph of every evaluation. The gradient is the
same, bit for bit.
"""


def _symadj(kept: str | int, **more_options: Any) -> Solve:
    setting = {key: value for key, value in DIAL[kept].items() if key != "options"}
    options = DIAL[kept].get("options", {})

    def solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        tell = getattr(field, "callback_stats", None)
        # A field that counts is evaluated one by one: in a graph there is nothing to count.
        more = more_options if tell is None else {}
        solution = load(SYMADJ).solve(
            field,
            y0,
            t,
            rtol=how.rtol,
            atol=how.atol,
            method=how.tableau,
            options={**how.options, **options, **more},
            **setting,
        )
        if tell is not None:
            tell(solution.stats)
        ys: State = solution.ys
        return ys

    return solve


def expected_replays(checkpoints: str | int, num_steps: str | int) -> float:
    """Return how many steps a fixed grid makes symadj replay, known before it is run.

    NaN where it is not known: the steps are adaptive, or the checkpoints are no number.
    """
    if optimal_replays is None or isinstance(checkpoints, str) or isinstance(num_steps, str):
        return float("nan")
    return float(optimal_replays(num_steps, checkpoints))


METHODS = (
    Method("symadj", _symadj("states"), settings={kept: _symadj(kept) for kept in DIAL}),
    Method("symadj-stages", _symadj("stages")),
)

COMPILED = Method("symadj-compiled", _symadj("stages", compile=True), is_compiled=True)
"""Each step one graph of ``torch.compile``: which is made while a measurement warms up."""

KEEPING_STAGES = frozenset({"symadj-stages", COMPILED.name})
"""Methods that keep every stage state, whatever setting of the dial is named."""
