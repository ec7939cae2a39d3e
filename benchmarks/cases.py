"""What a case is, and the figures that it yields."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields

from .discretization import Discretization, adaptive, fixed_grid
from .methods import DEFAULT_CHECKPOINTS, METHODS, expected_replays
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


CASE_FIELDS = tuple(entry.name for entry in fields(Case))


def _meter(unit: str) -> float:
    measured: float = field(metadata={"unit": unit})
    return measured


@dataclass(frozen=True)
class Measurement:
    """The figures of one case; NaN where a meter does not apply.

    Seconds are medians and quartiles over interleaved rounds; the ratio is the median of the
    rounds' own ratios to torchdiffeq's backpropagation, with a 95 % bootstrap interval. Bytes are
    peaks above the start of the call. Steps and forward evaluations are those of the forward
    pass. Replayed steps are those that were taken again as a whole, since their states had not been
    kept; of a case that is left out because it would replay too many, they are the only figure.
    Gradient errors are Euclidean, over (y0, parameters): against the true gradient, and
    against float64 backpropagation over the very steps that were taken.
    """

    wall_seconds: float = _meter("seconds")
    wall_seconds_q25: float = _meter("seconds")
    wall_seconds_q75: float = _meter("seconds")
    wall_seconds_forward: float = _meter("seconds")
    wall_seconds_backward: float = _meter("seconds")
    wall_ratio: float = _meter("ratio")
    wall_ratio_low: float = _meter("ratio")
    wall_ratio_high: float = _meter("ratio")
    seconds_per_sample: float = _meter("seconds")
    peak_cpu_bytes: float = _meter("bytes")
    peak_gpu_bytes: float = _meter("bytes")
    nfe_forward: float = _meter("count")
    nfe_backward: float = _meter("count")
    nvjp: float = _meter("count")
    num_accepted: float = _meter("count")
    num_rejected: float = _meter("count")
    num_replayed_steps: float = _meter("count")
    relative_gradient_error: float = _meter("relative")
    relative_step_gradient_error: float = _meter("relative")
    num_threads: float = _meter("count")


METER_UNITS: dict[str, str] = {entry.name: entry.metadata["unit"] for entry in fields(Measurement)}


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
            *itertools.product(self.methods or tuple(METHODS), self.checkpoints),
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
