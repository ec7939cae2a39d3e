"""A run on a cluster by Ray: one group at a time on each node, or on each GPU, which is its alone.

Ray starts the processes and tells when they, or their nodes, are gone. Which groups are left, and
what is known, is the journal's business: the driver alone writes it, one file for each group.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cases import Case
from ..environment import (
    DEVICE_VARIABLE,
    INSTRUCTIONS_VARIABLE,
    SIZE_VARIABLE,
    THREADS_VARIABLE,
    selected_device,
)
from ..groups import Group, title
from ..measure import Failure, Outcome
from ..methods.foreign import METHODS_VARIABLE
from .code_state import CodeState, WrongTreeError, code_digest, code_state
from .conditions import Conditions, conditions_of, folder_name
from .journal import Entry, read_entry, write_entry, write_json
from .sharing import read_conditions
from .worker import measure_apart

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:  # an extra of its own
    ray = None

RETRIES = 3
"""How often a group is begun again whose node, or process, is gone."""

SHUNNED_SECONDS = 30.0
"""How long a node is left alone that lost a group: Ray takes a while to see that it is gone."""

PATIENCE_SECONDS = 600.0
"""How long to wait for a node where there is none."""

VARIABLES = (
    *(SIZE_VARIABLE, DEVICE_VARIABLE, THREADS_VARIABLE, INSTRUCTIONS_VARIABLE),
    METHODS_VARIABLE,
)
LEFT_OUT = (".git", ".venv", ".asv", ".journal", ".benchmarks", "reports/site")

Say = Callable[[str], None]


class ClusterError(RuntimeError):
    """The cluster cannot measure; what was measured is in the journal."""


@dataclass(frozen=True)
class Slot:
    """What one group has to itself: a node, or one of its GPUs."""

    node: str
    number: int
    num_cpus: float
    num_gpus: float


@dataclass(frozen=True)
class Answer:
    """What comes back from a node."""

    conditions: Conditions
    outcomes: dict[Case, Outcome]
    seconds: float


def run_on_cluster(root: Path, journal: Path, groups: Sequence[Group], say: Say) -> set[Path]:
    """Measure the groups that the journal lacks. Only under the journal's lock.

    Returns
    -------
    set of Path
        The folders of the journal that hold the groups: one for each kind of machine.

    Raises
    ------
    ClusterError
        If Ray is not installed, has no nodes, or a node's code is another.
    """
    if ray is None:
        raise ClusterError("Ray is not installed; install the project with its 'ray' extra")
    code = code_state(root)
    folders = {folder for folder in journal.glob("*") if _is_of(folder, code)}
    left = [
        group for group in groups if all(read_entry(folder, group)[0] is None for folder in folders)
    ]
    say(f"{len(groups) - len(left)} of {len(groups)} groups were measured before")
    with _connected(root):
        for number, (group, answer) in enumerate(_answers(left, code, say), start=1):
            folder = journal / folder_name(answer.conditions)
            if folder not in folders:
                write_json(folder / "conditions.json", answer.conditions)
                folders.add(folder)
            write_entry(folder, group, Entry(answer.outcomes, answer.seconds))
            say(f"[{number}/{len(left)}] {title(group)}, {len(group)} cases")
    return folders


def _is_of(folder: Path, code: CodeState) -> bool:
    """Whether results are of this code, and of what the environment asks for, on any machine."""
    if not (folder / "conditions.json").exists():
        return False
    there, here = read_conditions(folder), conditions_of(code)
    asked = ("commit", "code", "size", "device", "counts_instructions", "num_threads")
    return all(there[name] == here[name] for name in (*asked, "foreign_methods"))


def _connected(root: Path) -> Any:
    """Return a connection to the cluster that there is, or to one of this machine alone."""
    if ray.is_initialized():
        ray.shutdown()
    asked = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    environment = {"working_dir": str(root), "excludes": list(LEFT_OUT), "env_vars": asked}
    settings = {"runtime_env": environment, "log_to_driver": False, "logging_level": "ERROR"}
    try:
        return ray.init(address=os.environ.get("RAY_ADDRESS", "auto"), **settings)
    except ConnectionError:
        if "RAY_ADDRESS" in os.environ:
            raise ClusterError(
                f"there is no Ray at RAY_ADDRESS={os.environ['RAY_ADDRESS']!r}: start it by `ray "
                "start`, or unset the variable to run on this machine alone"
            ) from None
        return ray.init(address="local", **settings)


def _answers(groups: Sequence[Group], code: CodeState, say: Say) -> Iterator[tuple[Group, Answer]]:
    """Yield each group with what came of it, as it comes."""
    remote = ray.remote(max_retries=0)(measure_there)
    waiting, attempts = deque(groups), Counter[Group]()
    running: dict[Any, tuple[Slot, Group]] = {}
    shunned: dict[str, float] = {}
    seen = time.monotonic()
    while waiting or running:
        busy = {slot for slot, _ in running.values()}
        for slot in _slots():
            is_shunned = time.monotonic() < shunned.get(slot.node, 0.0)
            if waiting and slot not in busy and not is_shunned:
                group = waiting.popleft()
                where = NodeAffinitySchedulingStrategy(slot.node, soft=False)
                task = remote.options(
                    num_cpus=slot.num_cpus, num_gpus=slot.num_gpus, scheduling_strategy=where
                )
                running[task.remote(group, code)] = (slot, group)
        if running:
            seen = time.monotonic()
        else:
            time.sleep(1.0)
        if time.monotonic() - seen > PATIENCE_SECONDS:
            raise ClusterError(
                f"no node for {PATIENCE_SECONDS:.0f} s, and {len(waiting)} groups left"
            )
        done = ray.wait(list(running), timeout=1.0)[0] if running else []
        for reference in done:
            slot, group = running.pop(reference)
            try:
                answer = ray.get(reference)
            except RayTaskError as error:
                raise ClusterError(f"{title(group)}: {error}") from error
            except RayError as error:
                attempts[group] += 1
                shunned[slot.node] = time.monotonic() + SHUNNED_SECONDS
                say(f"lost, {type(error).__name__}: {title(group)}, attempt {attempts[group]}")
                if attempts[group] <= RETRIES:
                    waiting.appendleft(group)
                    continue
                failure = Failure(f"its node or process was gone each time: {error}")
                answer = Answer(conditions_of(code), dict.fromkeys(group, failure), 0.0)
            yield group, answer


def _slots() -> list[Slot]:
    """Return what the nodes that are alive have to give."""
    slots = []
    for node in ray.nodes():
        resources: Mapping[str, float] = node["Resources"] if node["Alive"] else {}
        num_cpus, num_gpus = resources.get("CPU", 0.0), int(resources.get("GPU", 0.0))
        if selected_device().type == "cuda":
            share = float(num_cpus // max(num_gpus, 1))
            slots += [Slot(node["NodeID"], number, share, 1.0) for number in range(num_gpus)]
        elif num_cpus:
            slots.append(Slot(node["NodeID"], 0, num_cpus, 0.0))
    return slots


def measure_there(group: Group, code: CodeState) -> Answer:
    """Measure a group on the node where this runs, which has no git.

    Raises
    ------
    WrongTreeError
        If the node's code is not the driver's.
    """
    digest = code_digest(Path(__file__).resolve().parents[2])
    if digest != code.digest:
        raise WrongTreeError(
            "the code on a node is another than on the machine that started the run: let Ray "
            "bring it, and install neither symadj nor the benchmarks there"
        )
    start = time.monotonic()
    outcomes = measure_apart(group)
    return Answer(conditions_of(code), outcomes, time.monotonic() - start)
