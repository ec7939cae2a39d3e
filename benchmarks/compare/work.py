"""The work that is compared: which cases, and how one is made ready to run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..cases import ADAPTIVE, Case
from ..discretization import Discretization
from ..gradient import flatten, forward
from ..meters import CountingField
from ..methods import METHODS, Solve
from ..problems import PROBLEMS, ProblemInstance
from .sides import DEFAULT_METHOD

DTYPES = {"float32": torch.float32, "float64": torch.float64}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Work:
    """One piece of work, done by both sides.

    Attributes
    ----------
    case : Case
        Its method is replaced where the sides name methods of their own.
    dtype : {"float32", "float64"}
        Of the state and the parameters.
    is_timed : bool
        Whether it is worth the clock: seconds are measured on a few works, counts on all.
    is_counted : bool
        Whether its instructions are counted: under valgrind, where a call takes seconds.
    """

    case: Case
    dtype: str = "float32"
    is_timed: bool = False
    is_counted: bool = False

    @property
    def name(self) -> str:
        """The name on the command line and in the results, the method left out."""
        case = self.case
        parts = (case.problem, case.tableau, case.size, case.steps, case.checkpoints, self.dtype)
        return "/".join(str(part) for part in parts)

    def by(self, method: str) -> Work:
        """Return the same work done by another method."""
        return replace(self, case=replace(self.case, method=method))


def _work(
    problem: str,
    tableau: str,
    size: str,
    steps: str | int = ADAPTIVE,
    kept: str | int = "default",
    dtype: str = "float32",
    is_timed: bool = False,
    is_counted: bool = False,
) -> Work:
    case = Case(problem, DEFAULT_METHOD, tableau, size, steps, kept)
    return Work(case, dtype, is_timed, is_counted)


WORKS: tuple[Work, ...] = (
    # Timed: all overhead, a bit of everything, and what a step costs without error control.
    _work("mlp-size", "dopri5", "2-50-2 batch 20", is_timed=True),
    _work("mlp-size", "dopri5", "64-64-64-64 batch 256", kept="stages", is_timed=True),
    _work("mlp-steps", "rk4", "64-64-64-64 batch 128", 10, is_timed=True),
    # Counted: small, since valgrind makes a call a hundred times longer.
    _work("mlp-steps", "rk4", "2-8-2 batch 4", 4, is_counted=True),
    _work("mlp-order", "dopri5", "2-8-2 batch 4", kept="stages", is_counted=True),
    # Double precision: one float32 operation costs eight digits of the gradient.
    _work("mlp-order", "dopri5", "64-64-64-64 batch 16", dtype="float64"),
    _work("mlp-order", "dopri8", "8-16-8 batch 8", dtype="float64"),
    _work("mlp-order", "bosh3", "8-16-8 batch 8", dtype="float64"),
    _work("mlp-steps", "heun2", "8-16-8 batch 8", 10, dtype="float64"),
    # The dial: few states, and all graphs of a step at once.
    _work("mlp-steps", "rk4", "16-64-16 batch 32", 12, kept=2),
    _work("mlp-steps", "rk4", "16-64-16 batch 32", 12, kept="graphs"),
    # A state of two parts, autograd inside f, real data; a learned energy.
    _work("digits-cnf", "dopri5", "64-16-64 batch 4"),
    _work("kdv", "dopri8", "16 points 2 channels batch 2"),
)


def select(works: Sequence[Work], pattern: str | None) -> tuple[Work, ...]:
    """Return the works whose name the regular expression finds; all of them without one.

    Raises
    ------
    ValueError
        If it finds none, or is no regular expression.
    """
    if pattern is None:
        return tuple(works)
    try:
        chosen = tuple(work for work in works if re.search(pattern, work.name))
    except re.error as error:
        raise ValueError(f"--cases {pattern!r} is no regular expression: {error}") from error
    if not chosen:
        names = "\n  ".join(work.name for work in works)
        raise ValueError(f"--cases {pattern!r} finds none of the cases:\n  {names}")
    return chosen


@dataclass(frozen=True)
class Ready:
    """A work, ready to run with the packages that this process sees."""

    work: Work
    instance: ProblemInstance
    solve: Solve
    how: Discretization

    def gradient(self) -> tuple[Tensor, ...]:
        """Compute one gradient."""
        return forward(self.instance, self.solve, self.how).gradient()

    def counted(self) -> tuple[CountingField, Tensor]:
        """Return the counts of one gradient, and that gradient as one float64 vector."""
        is_adaptive = isinstance(self.work.case.steps, str)
        counter = CountingField(self.instance.field, is_adaptive=is_adaptive)
        forward_pass = forward(replace(self.instance, field=counter), self.solve, self.how)
        counter.phase = "backward"
        return counter, flatten(forward_pass.gradient())


def prepare(work: Work) -> Ready:
    """Make a work ready."""
    case = work.case
    instance = PROBLEMS[case.problem].build(case.size, DTYPES[work.dtype], CPU)
    solve = METHODS[case.method].solver(case.checkpoints)
    return Ready(work, instance, solve, case.discretization(instance))


def to_plain(work: Work) -> dict[str, Any]:
    """Return the work as plain values, for a pipe or a file."""
    return {"case": vars(work.case), "dtype": work.dtype}


def from_plain(plain: dict[str, Any]) -> Work:
    """Undo `to_plain`."""
    return Work(Case(**plain["case"]), plain["dtype"])
