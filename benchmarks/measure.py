"""Measuring cases: every meter, a failing case kept apart from the others."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from .cases import KNOWN_FAILURES, Case
from .discretization import Discretization
from .environment import counts_instructions, selected_device, selected_num_threads
from .fairness import ERROR_MARGIN, Work, may_be_compared
from .floor import BareWork, bare_case, floor_bytes, has_floor
from .gradient import flat_gradient, flatten, forward, relative_error
from .groups import Group, grouped
from .measurement import METER_UNITS, Measurement
from .memory_limit import limited_memory
from .meters import (
    CountingField,
    PeakBytes,
    Stopwatch,
    count_instructions,
    count_operations,
    joules,
    peak_bytes,
)
from .methods import (
    BASELINE,
    DEFAULT_CHECKPOINTS,
    KEEPING_STAGES,
    METHODS,
    Method,
    MethodUnavailableError,
    MissingPackageError,
    Solve,
)
from .outcomes import Code, ErrorNotReachedError, is_out_of_memory
from .problems import PROBLEMS, ProblemInstance
from .references import step_gradient, true_gradient
from .sizes import selected_size_set
from .timing import Effort, Seconds, interleaved_rounds, median_interval, settled_heap

DTYPE = torch.float32
NAN = float("nan")
MAX_EVALUATIONS = 16  # in units of the baseline's, of a method that takes its own steps
LEAST_GROWTH, LARGEST_GROWTH = 1.2, 4.0  # of their number, from one try to the next

LOG = logging.getLogger(__name__)


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
    run = Run(case, instance, solve, case.discretization(instance), device)
    return run if METHODS[case.method].calibrate is None else _calibrated(run)


def _calibrated(run: Run) -> Run:
    """Give a method with steps of its own about as few as reach the baseline's gradient error.

    Raises
    ------
    ErrorNotReachedError
        If it takes MAX_EVALUATIONS times the evaluations.
    """
    calibrate = METHODS[run.case.method].calibrate
    assert calibrate is not None
    truth = _true_gradient(run.case.problem, run.case.size, run.device)
    base_error, base_nfe = _baseline_error(_baseline_of(run.case), run.device)
    target, most = ERROR_MARGIN * base_error, MAX_EVALUATIONS * base_nfe
    duration = float(run.instance.t[-1] - run.instance.t[0])
    num_steps = base_nfe
    while True:
        how = calibrate(run.how, duration / num_steps)
        error = relative_error(flat_gradient(run.instance, run.solve, how), truth)
        if error <= target:
            return replace(run, how=how)
        if num_steps >= most:
            raise ErrorNotReachedError(
                f"with {most} steps {run.case.method} comes to a gradient error of {error:.1e}; "
                f"the baseline's is {base_error:.1e} with {base_nfe} evaluations"
            )
        # by its order it needs so many more, if its error is in proportion to h² yet
        growth = min(max(1.05 * (error / target) ** 0.5, LEAST_GROWTH), LARGEST_GROWTH)
        num_steps = min(math.ceil(growth * num_steps), most)


@dataclass(frozen=True)
class _Figures:
    """What one run of a case settles once and for all."""

    peak: PeakBytes
    counts: CountingField
    first_call_seconds: float
    num_operations: float
    num_instructions: float
    joules: float
    error: float
    step_error: float
    floor: _Floor | None


@dataclass(frozen=True)
class _Floor:
    """What a gradient cannot do without."""

    work: BareWork
    bytes: float
    num_operations: int
    num_instructions: float


def _measure_group(
    cases: Sequence[Case],
    effort: Effort,
    device: torch.device,
    known: Mapping[Case, Outcome] = MappingProxyType({}),
    announce: Callable[[Case], None] = lambda _: None,
) -> dict[Case, Outcome]:
    """Measure cases that take turns; the baseline always does, be it among them or not."""
    baseline = _baseline_of(cases[0])
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
            with limited_memory():
                run = _prepare(case, instance, device)
                figures[case] = _figures(run)
            clocks[case] = partial(_announced, announce, run)
            floor = figures[case].floor
            if floor is not None:
                clocks[bare_case(case)] = partial(_timed_bare, floor.work, device)
        except Exception as error:  # whatever a method under test raises is its result
            unmeasured[case] = _unmeasured(case, error)
    seconds: dict[Case, Seconds] = {}
    for case, rounds in interleaved_rounds(clocks, effort).items():
        if isinstance(rounds, Exception):
            unmeasured[case] = _unmeasured(case, rounds)
        else:
            seconds[case] = rounds
    return {
        case: unmeasured.get(case)
        or _compared(
            _measurement(
                figures[case],
                seconds[case],
                seconds.get(baseline),
                seconds.get(bare_case(case)),
                instance.batch_size,
            ),
            figures[case],
            figures.get(baseline),
            METHODS[case.method],
        )
        for case in cases
    }


def _baseline_of(case: Case) -> Case:
    return replace(case, method=BASELINE, checkpoints=DEFAULT_CHECKPOINTS)


def _unmeasured(case: Case, error: Exception) -> Outcome:
    """Say why a case has no figures: by a code where that is no fault to be looked into."""
    if isinstance(error, MissingPackageError):
        code = Code.NOT_INSTALLED
    elif isinstance(error, MethodUnavailableError):
        code = Code.NOT_OFFERED
    elif isinstance(error, ErrorNotReachedError):
        code = Code.ERROR_NOT_REACHED
    elif is_out_of_memory(error):
        code = Code.OUT_OF_MEMORY
    elif (case.problem, case.method) in KNOWN_FAILURES:
        code = Code.KNOWN_FAILURE
    else:
        return Failure("".join(traceback.format_exception(error)))
    LOG.warning("%s, %s: %s (%s)", case.problem, case.method, code.name, str(error)[:300])
    return Measurement(**dict.fromkeys(METER_UNITS, NAN) | {"outcome": float(code)})


def _compared(
    own: Measurement, figures: _Figures, base: _Figures | None, method: Method
) -> Measurement:
    """Withhold the ratio of unequal work; the figures themselves stay."""
    if base is None or may_be_compared(_work(figures, method), _work(base, METHODS[BASELINE])):
        return own
    return replace(
        own,
        wall_ratio=NAN,
        wall_ratio_low=NAN,
        wall_ratio_high=NAN,
        outcome=float(Code.UNEQUAL_WORK),
    )


def _work(figures: _Figures, method: Method) -> Work:
    """Return a method's work; steps that are not torchdiffeq's own are not to be counted."""
    accepted, rejected = _num_steps(figures.counts) if method.takes_same_steps else (NAN, NAN)
    return Work(accepted, rejected, figures.error)


def _num_steps(counts: CountingField) -> tuple[float, float]:
    """Return the steps accepted and rejected, NaN where neither field nor solver tells."""
    if counts.accepted_steps:
        return float(len(counts.accepted_steps)), float(counts.num_rejected)
    told = [getattr(counts.stats, name, NAN) for name in ("num_accepted", "num_rejected")]
    return float(told[0]), float(told[1])


def _announced(announce: Callable[[Case], None], run: Run) -> tuple[float, ...]:
    announce(run.case)
    return run.timed()


def _left_out(case: Case) -> Measurement:
    """Say why a case is not run: by what it would replay, and nothing else."""
    nothing = dict.fromkeys(METER_UNITS, NAN)
    return Measurement(**nothing | {"num_replayed_steps": case.expected_replays})


def _figures(run: Run) -> _Figures:
    start = time.perf_counter()
    first = run.gradient()  # it compiles and fills caches: none of the other figures' business
    first_call_seconds = time.perf_counter() - start
    counts, gradient = run.counted()
    if METHODS[run.case.method].is_compiled:  # counted without graphs, whose gradient is wanted
        gradient = flatten(first)
    del first
    error = step_error = NAN
    try:
        error = relative_error(
            gradient, _true_gradient(run.case.problem, run.case.size, run.device)
        )
        step_error = _step_error(run, counts, gradient)
    except MissingPackageError:
        pass  # without the baseline there is nothing to be held against
    return _Figures(
        first_call_seconds=first_call_seconds,
        peak=peak_bytes(run.gradient, run.device),
        counts=counts,
        num_operations=(
            NAN if METHODS[run.case.method].is_compiled else count_operations(run.gradient)
        ),
        num_instructions=(
            _instructions("run.gradient()", _setup(run.case)) if counts_instructions() else NAN
        ),
        joules=joules(run.gradient, run.device),
        error=error,
        step_error=step_error,
        floor=_floor(run, counts) if has_floor(run.case) else None,
    )


def _floor(run: Run, counts: CountingField) -> _Floor:
    work = BareWork.of(run.instance, counts)
    kept = "stages" if run.case.method in KEEPING_STAGES else run.case.checkpoints
    setup = _setup(run.case) + "; work = bare(run)"
    return _Floor(
        work=work,
        bytes=floor_bytes(run.instance, counts, kept=kept, device=run.device),
        num_operations=count_operations(work.run),
        num_instructions=_instructions("work.run()", setup) if counts_instructions() else NAN,
    )


def bare(run: Run) -> BareWork:
    """Return the bare work of a case."""
    return BareWork.of(run.instance, run.counted()[0])


def _timed_bare(work: BareWork, device: torch.device) -> tuple[float, ...]:
    stopwatch = Stopwatch(device)
    work.evaluate()
    stopwatch.mark()
    work.pull_back()
    stopwatch.mark()
    return *stopwatch.wall_seconds, stopwatch.cuda_seconds


def _step_error(run: Run, counts: CountingField, gradient: Tensor) -> float:
    """Return the error against the gradient of the steps taken; NaN where they are not known."""
    is_adaptive = isinstance(run.case.steps, str)
    steps = tuple(counts.accepted_steps) if is_adaptive else ()
    if METHODS[run.case.method].calibrate is not None or (is_adaptive and not steps):
        return NAN
    return relative_error(gradient, _step_gradient(_baseline_of(run.case), steps, run.device))


def _setup(case: Case) -> str:
    """Return what makes a case ready, in a process of its own."""
    return (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        f"from {Case.__module__} import Case; from {__name__} import bare, prepare\n"
        f"run = prepare({case!r}); run.gradient()"
    )


def _instructions(statement: str, setup: str) -> float:
    return count_instructions(statement, setup, num_threads=selected_num_threads())


# References depend on no method, so they are kept for the cases that share them.
@lru_cache(maxsize=2)
def _true_gradient(problem: str, size: str, device: torch.device) -> Tensor:
    described = PROBLEMS[problem]
    instance = described.build(size, DTYPE, device)
    return true_gradient(instance, described.first_step, described.reference_rtol)


@lru_cache(maxsize=2)
def _baseline_error(case: Case, device: torch.device) -> tuple[float, int]:
    """Return the baseline's gradient error and its forward evaluations."""
    instance = PROBLEMS[case.problem].build(case.size, DTYPE, device)
    counts, gradient = _prepare(case, instance, device).counted()
    truth = _true_gradient(case.problem, case.size, device)
    return relative_error(gradient, truth), counts.nfe["forward"]


@lru_cache(maxsize=2)
def _step_gradient(
    case: Case, steps: tuple[tuple[float, float], ...], device: torch.device
) -> Tensor:
    instance = PROBLEMS[case.problem].build(case.size, DTYPE, device)
    return step_gradient(instance, case.discretization(instance), list(steps))


def _ratio(total: Seconds, base: Seconds | None) -> tuple[float, float, float]:
    """Return the median of the rounds' ratios and its interval; NaN where there is no base."""
    if base is None:
        return NAN, NAN, NAN
    return median_interval(total / base[:, :2].sum(axis=1))


def _measurement(
    figures: _Figures,
    seconds: Seconds,
    baseline: Seconds | None,
    bare_seconds: Seconds | None,
    batch_size: int,
) -> Measurement:
    total = seconds[:, :2].sum(axis=1)
    ratio, ratio_low, ratio_high = _ratio(total, baseline)
    bare_ratio, bare_ratio_low, bare_ratio_high = _ratio(total, bare_seconds)
    floor = figures.floor
    q25, median, q75 = (float(quartile) for quartile in np.quantile(total, [0.25, 0.5, 0.75]))
    counts = figures.counts
    # a field that a solver does not call, as its twin in JAX is called, has counted nothing
    unseen = 0.0 if counts.nfe["forward"] else NAN
    accepted, rejected = _num_steps(counts)
    return Measurement(
        outcome=NAN,
        first_call_seconds=figures.first_call_seconds,
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
        nfe_forward=counts.nfe["forward"] + unseen,
        nfe_backward=counts.nfe["backward"] + unseen,
        nvjp=sum(counts.nvjp.values()) + unseen,
        nvjp_forward=counts.nvjp["forward"] + unseen,
        num_operations=figures.num_operations + unseen,
        num_instructions=figures.num_instructions,
        num_accepted=accepted,
        num_rejected=rejected,
        num_replayed_steps=counts.num_replayed_steps,
        relative_gradient_error=figures.error,
        relative_step_gradient_error=figures.step_error,
        num_threads=float(torch.get_num_threads()),
        bare_ratio=bare_ratio,
        bare_ratio_low=bare_ratio_low,
        bare_ratio_high=bare_ratio_high,
        floor_bytes=NAN if floor is None else floor.bytes,
        num_bare_operations=NAN if floor is None else float(floor.num_operations),
        num_bare_instructions=NAN if floor is None else floor.num_instructions,
    )
