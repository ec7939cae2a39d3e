"""What was measured: cases, measurements, runs. Plain data, as the loaders found it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reports.process_records import ProcessRun

CASE_FIELDS = ("problem", "method", "tableau", "size", "steps", "checkpoints")


# Codes of the meter ``outcome``: why a case has no figures, or none that may be compared.
OUTCOMES: Mapping[int, str] = {
    1: "not installed",
    2: "not offered",
    3: "out of memory",
    4: "known failure",
    5: "unequal work",
    6: "error not reached",
}


@dataclass(frozen=True)
class Configuration:
    """A piece of work that several methods can be compared on.

    Attributes
    ----------
    problem, tableau, size : str
        The problem, the Runge-Kutta method, and the network with its batch.
    steps : int or str
        Number of fixed steps, or ``"adaptive"``.
    """

    problem: str
    tableau: str
    size: str
    steps: int | str


@dataclass(frozen=True)
class Case:
    """A configuration, the gradient method that did it, and what that method kept.

    Attributes
    ----------
    configuration : Configuration
        The piece of work.
    method : str
        Gradient method.
    checkpoints : int or str
        What is kept of the trajectory; ``"default"`` where the method has no choice.
    """

    configuration: Configuration
    method: str
    checkpoints: int | str

    @classmethod
    def from_fields(cls, values: Mapping[str, int | str]) -> "Case":
        """Build a case from the six fields of `CASE_FIELDS`, which a result file names."""
        configuration = Configuration(
            str(values["problem"]), str(values["tableau"]), str(values["size"]), values["steps"]
        )
        return cls(configuration, str(values["method"]), values["checkpoints"])

    def fields(self) -> tuple[int | str, ...]:
        """Values in the order of `CASE_FIELDS`."""
        work = self.configuration
        return (
            work.problem,
            self.method,
            work.tableau,
            work.size,
            work.steps,
            self.checkpoints,
        )


@dataclass(frozen=True)
class Measurement:
    """Every meter of one case.

    Attributes
    ----------
    case : Case
        What was measured.
    values : mapping of str to float
        Meter to value, in seconds, bytes, counts or as a relative number; it may be infinite.
        A meter that was skipped is absent.
    failed : frozenset of str
        Meters whose measurement raised.
    """

    case: Case
    values: Mapping[str, float]
    failed: frozenset[str] = frozenset()

    def value(self, meter: str) -> float | None:
        """Value of a meter; None if it failed or was not measured."""
        return self.values.get(meter)

    @property
    def is_left_out(self) -> bool:
        """Whether it was not run, for the steps it would replay: the one figure it then has."""
        return set(self.values) == {"num_replayed_steps"} and not self.failed

    @property
    def reason(self) -> str:
        """Why it has no figures, or no ratio, if the results tell; "" otherwise."""
        code = self.values.get("outcome")
        return "" if code is None else OUTCOMES.get(round(code), f"outcome {code:g}")


@dataclass(frozen=True)
class Environment:
    """Where a run was made; None and empty mean "not recorded"."""

    machine: str
    cpu: str | None = None
    gpu: str | None = None
    num_cpu: int | None = None
    ram_bytes: int | None = None
    os: str | None = None
    arch: str | None = None
    python: str | None = None
    packages: tuple[tuple[str, str], ...] = ()
    num_threads: int | None = None


@dataclass(frozen=True)
class ProblemFacts:
    """Where a problem comes from; its data: "real", "computed", "synthetic", "" if unknown."""

    source: str = ""
    data: str = ""


@dataclass(frozen=True)
class Run:
    """One file of results: one commit, one machine, one environment.

    Figures are drawn from one run each, so machines, commits and environments never mix.

    Attributes
    ----------
    tool : str
        ``"asv"`` or ``"pytest-benchmark"``.
    file : str
        The file, as it was named to the command.
    commit : str
        Hash, or ``"unknown"``.
    environment : Environment
        Where it ran.
    measurements : tuple of Measurement
        What came out, in the order of the file.
    date : datetime or None
        Of the commit, UTC; of the run where the file does not know the commit's.
    measured : datetime or None
        When the last measurement started, UTC.
    is_dirty : bool
        The tree held changes that the commit does not.
    suites : mapping of str to tuple of str
        Problem to the benchmarks that measure it, by the tool's own names.
    problems : mapping of str to ProblemFacts
        What the results tell of their problems.
    """

    tool: str
    file: str
    commit: str
    environment: Environment
    measurements: tuple[Measurement, ...]
    date: datetime | None = None
    measured: datetime | None = None
    is_dirty: bool = False
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: Mapping[str, ProblemFacts] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """Version of symadj that ran, if it was recorded."""
        return dict(self.environment.packages).get("symadj")


@dataclass(frozen=True)
class Commit:
    """What the repository knows of a commit: its subject, the tags on it, and its place.

    The place is larger than that of every commit that it is made upon.
    """

    subject: str
    tags: tuple[str, ...] = ()
    place: int = 0


@dataclass(frozen=True)
class CurvePoint:
    """Where a training is after some iterations; None is a number that was not finite."""

    iteration: int
    wall_seconds: float | None
    num_evaluations: float | None
    held_out_loss: float | None
    gradient_error: float | None


@dataclass(frozen=True)
class Curve:
    """A training by one gradient method.

    Attributes
    ----------
    method, setting, dtype : str
        The gradient method, how time was discretized ("loose", "tight", "grid"), the precision.
    points : tuple of CurvePoint
        In the order of iterations.
    failure : str
        Last line of what ended it early, or "".
    """

    method: str
    setting: str
    dtype: str
    points: tuple[CurvePoint, ...]
    failure: str = ""


@dataclass(frozen=True)
class Training:
    """One task, trained from one seed by several methods: a file of ``benchmarks train``.

    Attributes
    ----------
    machine, task, data, network, commit, file : str
        Where, what, on which data ("real", "computed", "synthetic"), by which network and code.
    seed : int
        Of the weights and batches.
    settings : mapping of str to str
        Name of a discretization to what it is, in words.
    curves : tuple of Curve
        All of them from the same weights, on the same batches.
    date : datetime or None
        When it ended, UTC.
    """

    machine: str
    task: str
    data: str
    network: str
    commit: str
    file: str
    seed: int
    settings: Mapping[str, str]
    curves: tuple[Curve, ...]
    date: datetime | None = None

    @property
    def num_points(self) -> int:
        """Points of its longest curve."""
        return max((len(curve.points) for curve in self.curves), default=0)


@dataclass(frozen=True)
class VersionComparison:
    """Two versions, measured by turns by ``make compare``.

    Attributes
    ----------
    base, head, place, verdict : str
        What, where, and what came out.
    date : datetime or None
        When it began, UTC.
    columns : tuple of str
    rows : tuple of (str, tuple of str)
        Status, as ``WORSE`` or ``SAME``, and a text for each column.
    notes : tuple of str
    """

    base: str
    head: str
    place: str
    verdict: str
    date: datetime | None
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded:
    """What a loader found, and what it could not read.

    Attributes
    ----------
    runs : tuple of Run
        In the order of the folders, then of the file names.
    warnings : tuple of str
        One sentence for each file or part of a file that was left out, naming it.
    commits : mapping of str to Commit
        Hash to what the repository knows of it, where there is one.
    trainings : tuple of Training
        In the order of the folders, then of the file names.
    processes : tuple of ProcessRun
        Training on growing numbers of processes.
    comparisons : tuple of VersionComparison
    """

    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    commits: Mapping[str, Commit] = field(default_factory=dict)
    trainings: tuple[Training, ...] = ()
    processes: tuple[ProcessRun, ...] = ()
    comparisons: tuple[VersionComparison, ...] = ()

    def __add__(self, other: "Loaded") -> "Loaded":
        """Both, one after the other."""
        return Loaded(
            self.runs + other.runs,
            self.warnings + other.warnings,
            {**self.commits, **other.commits},
            self.trainings + other.trainings,
            self.processes + other.processes,
            self.comparisons + other.comparisons,
        )
