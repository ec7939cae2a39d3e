"""Measuring cases: every meter, a failing case kept apart from the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from .cases import Case
from .discretization import Discretization
from .environment import counts_instructions, selected_device, selected_num_threads
from .gradient import flatten, forward, relative_error
from .groups import Group, grouped
from .measurement import METER_UNITS, Measurement
from .meters import (
    CountingField,
    PeakBytes,
    Stopwatch,
    count_instructions,
    count_operations,
    joules,
    peak_bytes,
)
from .methods import BASELINE, DEFAULT_CHECKPOINTS, METHODS, MethodUnavailableError, Solve
from .problems import PROBLEMS, ProblemInstance
from .references import step_gradient, true_gradient
from .sizes import selected_size_set
from .timing import Effort, Seconds, interleaved_rounds, median_interval, settled_heap

DTYPE = torch.float32
NAN = float("nan")


@dataclass(frozen=True)
class Failure:
    """Why a case could not be measured: the traceback, as text."""

    traceback: str


Outcome = Measurement | Failure


def measure_cases(cases: Sequence[Case]) -> dict[Case, Outcome]:
    """Measure cases with the effort, threads and device that the environment asks for."""
    torch.set_num_threads(selected_num_threads())
    problems: dict[str, list[Case]] = {}
    for case in cases:
        problems.setdefault(case.problem, []).append(case)
    outcomes: dict[Case, Outcome] = {}
    for problem, its_cases in problems.items():
        effort = selected_size_set().effort_of(problem)
        outcomes |= measure(its_cases, effort, selected_device())
    return outcomes


def measure(cases: Sequence[Case], effort: Effort, device: torch.device) -> dict[Case, Outcome]:
    """Measure cases; those that differ by method or checkpoints only take turns at the clock."""
    outcomes: dict[Case, Outcome] = {}
    with settled_heap():
        for group in grouped(cases):
            outcomes |= _measure_group(group, effort, device)
    return outcomes


def measure_group(
    group: Group,
    known: Mapping[Case, Outcome],
    announce: Callable[[Case], None],
) -> dict[Case, Outcome]:
    """Measure one group as the environment asks for.

    Parameters
    ----------
    group : tuple of Case
        Cases that take turns.
    known : mapping from Case to outcome
        Cases, the baseline perhaps, that are not to be run: what is to be said of them instead.
    announce : callable
        Told each time a case is about to be run.
    """
    torch.set_num_threads(selected_num_threads())
    effort = selected_size_set().effort_of(group[0].problem)
    with settled_heap():
        return _measure_group(group, effort, selected_device(), known, announce)


@dataclass(frozen=True)
class Run:
    """A case, ready to run."""

    case: Case
    instance: ProblemInstance
    solve: Solve
    how: Discretization
    device: torch.device

    def gradient(self) -> tuple[Tensor, ...]:
        """Compute one gradient."""
        return forward(self.instance, self.solve, self.how).gradient()

    def timed(self) -> tuple[float, ...]:
        """Return the wall seconds of the forward and the backward pass, and the GPU's of both."""
        stopwatch = Stopwatch(self.device)
        forward_pass = forward(self.instance, self.solve, self.how)
        stopwatch.mark()
        gradient = forward_pass.gradient()
        stopwatch.mark()
        del gradient
        return *stopwatch.wall_seconds, stopwatch.cuda_seconds

    def counted(self) -> tuple[CountingField, Tensor]:
        """Return the counts of one gradient, and that gradient as one float64 vector."""
        counter = CountingField(self.instance.field, is_adaptive=isinstance(self.case.steps, str))
        forward_pass = forward(replace(self.instance, field=counter), self.solve, self.how)
        counter.phase = "backward"
        return counter, flatten(forward_pass.gradient())


def prepare(case: Case) -> Run:
    """Make a case ready to run on the device that the environment asks for."""
    device = selected_device()
    return _prepare(case, PROBLEMS[case.problem].build(case.size, DTYPE, device), device)


def _prepare(case: Case, instance: ProblemInstance, device: torch.device) -> Run:
    solve = METHODS[case.method].solver(case.checkpoints)
    return Run(case, instance, solve, case.discretization(instance), device)


@dataclass(frozen=True)
class _Figures:
    """What one run of a case settles once and for all."""

    peak: PeakBytes
    counts: CountingField
    num_operations: int
    num_instructions: float
    joules: float
    error: float
    step_error: float


def _measure_group(
    cases: Sequence[Case],
    effort: Effort,
    device: torch.device,
    known: Mapping[Case, Outcome] = MappingProxyType({}),
    announce: Callable[[Case], None] = lambda _: None,
) -> dict[Case, Outcome]:
    """Measure cases that take turns; the baseline always does, be it among them or not."""
    baseline = replace(cases[0], method=BASELINE, checkpoints=DEFAULT_CHECKPOINTS)
    instance = PROBLEMS[baseline.problem].build(baseline.size, DTYPE, device)
    figures: dict[Case, _Figures] = {}
    clocks: dict[Case, Callable[[], tuple[float, ...]]] = {}
    unmeasured = dict(known)
    for case in dict.fromkeys((*cases, baseline)):
        if case in unmeasured:
            continue
        if case.expected_replays > effort.max_replayed_steps:
            unmeasured[case] = _left_out(case)
            continue
        announce(case)
        try:
            run = _prepare(case, instance, device)
            figures[case] = _figures(run)
            clocks[case] = partial(_announced, announce, run)
        except Exception:  # whatever a method under test raises is its result
            unmeasured[case] = Failure(traceback.format_exc())
    seconds: dict[Case, Seconds] = {}
    for case, rounds in interleaved_rounds(clocks, effort).items():
        if isinstance(rounds, Exception):
            unmeasured[case] = Failure("".join(traceback.format_exception(rounds)))
        else:
            seconds[case] = rounds
    return {
        case: unmeasured.get(case)
        or _measurement(figures[case], seconds[case], seconds.get(baseline), instance.batch_size)
        for case in cases
    }


def _announced(announce: Callable[[Case], None], run: Run) -> tuple[float, ...]:
    announce(run.case)
    return run.timed()


def _left_out(case: Case) -> Measurement:
    """Say why a case is not run: by what it would replay, and nothing else."""
    nothing = dict.fromkeys(METER_UNITS, NAN)
    return Measurement(**nothing | {"num_replayed_steps": case.expected_replays})


def _figures(run: Run) -> _Figures:
    run.gradient()  # a first call fills caches that are none of the case's business
    counts, gradient = run.counted()
    steps = tuple(counts.accepted_steps) if isinstance(run.case.steps, str) else ()
    try:
        truth = _true_gradient(run.case.problem, run.case.size, run.device)
        step_truth = _step_gradient(replace(run.case, method=BASELINE), steps, run.device)
    except MethodUnavailableError:  # without the baseline there is nothing to be held against
        error = step_error = NAN
    else:
        error = relative_error(gradient, truth)
        step_error = relative_error(gradient, step_truth)
    return _Figures(
        peak=peak_bytes(run.gradient, run.device),
        counts=counts,
        num_operations=count_operations(run.gradient),
        num_instructions=_instructions(run.case) if counts_instructions() else NAN,
        joules=joules(run.gradient, run.device),
        error=error,
        step_error=step_error,
    )


def _instructions(case: Case) -> float:
    """Count the instructions of one gradient, in a process that makes the case ready itself."""
    setup = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        f"from {Case.__module__} import Case; from {__name__} import prepare\n"
        f"run = prepare({case!r}); run.gradient()"
    )
    return count_instructions("run.gradient()", setup, num_threads=selected_num_threads())


# References depend on no method, so they are kept for the cases that share them.
@lru_cache(maxsize=2)
def _true_gradient(problem: str, size: str, device: torch.device) -> Tensor:
    described = PROBLEMS[problem]
    instance = described.build(size, DTYPE, device)
    return true_gradient(instance, described.first_step, described.reference_rtol)


@lru_cache(maxsize=2)
def _step_gradient(
    case: Case, steps: tuple[tuple[float, float], ...], device: torch.device
) -> Tensor:
    instance = PROBLEMS[case.problem].build(case.size, DTYPE, device)
    return step_gradient(instance, case.discretization(instance), list(steps))


def _measurement(
    figures: _Figures, seconds: Seconds, baseline: Seconds | None, batch_size: int
) -> Measurement:
    total = seconds[:, :2].sum(axis=1)
    ratio = ratio_low = ratio_high = NAN
    if baseline is not None:
        ratio, ratio_low, ratio_high = median_interval(total / baseline[:, :2].sum(axis=1))
    q25, median, q75 = (float(quartile) for quartile in np.quantile(total, [0.25, 0.5, 0.75]))
    counts = figures.counts
    return Measurement(
        wall_seconds=median,
        wall_seconds_q25=q25,
        wall_seconds_q75=q75,
        wall_seconds_forward=float(np.median(seconds[:, 0])),
        wall_seconds_backward=float(np.median(seconds[:, 1])),
        wall_ratio=ratio,
        wall_ratio_low=ratio_low,
        wall_ratio_high=ratio_high,
        seconds_per_sample=median / batch_size,
        cuda_seconds=float(np.median(seconds[:, 2])),
        peak_cpu_bytes=figures.peak.cpu,
        peak_gpu_bytes=figures.peak.gpu,
        peak_gpu_reserved_bytes=figures.peak.gpu_reserved,
        energy_joules=figures.joules,
        nfe_forward=float(counts.nfe["forward"]),
        nfe_backward=float(counts.nfe["backward"]),
        nvjp=float(sum(counts.nvjp.values())),
        nvjp_forward=float(counts.nvjp["forward"]),
        num_operations=float(figures.num_operations),
        num_instructions=figures.num_instructions,
        num_accepted=float(len(counts.accepted_steps)),
        num_rejected=float(counts.num_rejected),
        num_replayed_steps=counts.num_replayed_steps,
        relative_gradient_error=figures.error,
        relative_step_gradient_error=figures.step_error,
        num_threads=float(torch.get_num_threads()),
    )
