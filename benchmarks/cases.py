"""What a case is, and how many there are of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from .discretization import Discretization, adaptive, fixed_grid
from .methods import DEFAULT_CHECKPOINTS, METHODS, ON_REQUEST, expected_replays
from .problems import PROBLEMS, ProblemInstance
from .timing import Effort

ADAPTIVE = "adaptive"


@dataclass(frozen=True)
class Case:
    """One cell of every result table; its six fields are asv's parameters, in this order.

    Attributes
    ----------
    problem, method, tableau : str
        Names in ``PROBLEMS``, ``METHODS`` and both libraries.
    size : str
        The network and the batch.
    steps : str or int
        ``"adaptive"``, or the number of steps of a fixed grid.
    checkpoints : str or int
        ``"default"``, or a setting that the method offers.
    """

    problem: str
    method: str
    tableau: str
    size: str
    steps: str | int
    checkpoints: str | int

    def discretization(self, instance: ProblemInstance) -> Discretization:
        """Return how this case's problem is discretized in time."""
        if isinstance(self.steps, int):
            start, stop = float(instance.t[0]), float(instance.t[-1])
            return fixed_grid(
                self.tableau,
                num_steps=self.steps,
                duration=stop - start,
                start=start,
                jump_t=instance.jump_t,
            )
        problem = PROBLEMS[self.problem]
        return adaptive(
            self.tableau,
            rtol=problem.rtol,
            atol=problem.atol,
            first_step=problem.first_step,
            jump_t=instance.jump_t,
        )

    @property
    def expected_replays(self) -> float:
        """Steps that the backward pass will replay, NaN where that is not known beforehand."""
        return expected_replays(self.checkpoints, self.steps)


KNOWN_FAILURES = frozenset(
    {
        # Stiff in the forward direction is unstable backwards: the state runs away.
        ("robertson", "torchdiffeq-adjoint"),
        ("robertson", "torchdiffeq-seminorm"),
    }
)
"""Problems and methods that are known to fail together; whoever does not is measured."""

CASE_FIELDS = tuple(entry.name for entry in fields(Case))


@dataclass(frozen=True)
class Sweep:
    """The cases of one problem: every combination of what is listed here.

    Attributes
    ----------
    schemes : tuple of (tableau, steps)
        How time is discretized.
    sizes, methods, checkpoints
        As in `Case`; every method there is, if none is named.
    others : tuple of str
        Methods that run beside them, with the checkpoints they keep by default.
    effort : Effort or None
        What the problem is worth, if not as much as the others.
    """

    schemes: tuple[tuple[str, str | int], ...]
    sizes: tuple[str, ...]
    methods: tuple[str, ...] | None = None
    checkpoints: tuple[str | int, ...] = (DEFAULT_CHECKPOINTS,)
    others: tuple[str, ...] = ()
    effort: Effort | None = None

    def cases(self, problem: str) -> Iterator[Case]:
        """Generate them, those that differ by method or checkpoints only in a row."""
        choices = [
            *itertools.product(self.methods or _usual_methods(), self.checkpoints),
            *((method, DEFAULT_CHECKPOINTS) for method in self.others),
        ]
        for (tableau, steps), size, (method, checkpoints) in itertools.product(
            self.schemes, self.sizes, choices
        ):
            yield Case(problem, method, tableau, size, steps, checkpoints)


@dataclass(frozen=True)
class SizeSet:
    """Every case at one scale of work, and the longest that the cases of a class may take."""

    effort: Effort
    sweeps: Mapping[str, Sweep]
    timeout_seconds: float = 600.0

    def cases(self, problem: str | None = None) -> tuple[Case, ...]:
        """Return the cases of one problem, or all of them."""
        return tuple(
            case
            for name, sweep in self.sweeps.items()
            if problem in (None, name)
            for case in sweep.cases(name)
        )

    def effort_of(self, problem: str) -> Effort:
        """Return what the cases of a problem are worth."""
        return self.sweeps[problem].effort or self.effort


def _usual_methods() -> tuple[str, ...]:
    """Return the methods that take part where none is named."""
    return tuple(name for name in METHODS if name not in ON_REQUEST)
