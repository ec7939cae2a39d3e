"""Copies of symadj with a fault in them.

A fault is a module of ``planted/`` that changes the library when it is imported, at the end of the
copy's ``__init__``. Patches of the text would not outlive the next change of the library, and could
then quietly test nothing: a fault counts its ``hits``, and one that a small solve does not meet is
an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..launcher import HARNESS

PLANTED = Path(__file__).with_name("planted")
MODULE = "symadj_planted"
CHECK_SECONDS = 300

_CHECK = f"""
import sys
import torch, symadj
import {MODULE}
class F(torch.nn.Linear):
    def forward(self, t, y):
        return super().forward(y)
f = F(3, 3).double()
y = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
symadj.odeint(f, y, torch.tensor([0.0, 1.0])).sum().backward()
if {MODULE}.__spec__.origin.startswith(sys.argv[1]) and {MODULE}.hits > 0:
    print("met")
"""


class PlantingError(RuntimeError):
    """A fault that does not take effect any more; the message says which, and what to look at."""


@dataclass(frozen=True)
class Fault:
    """A fault to plant.

    Attributes
    ----------
    name : str
        What tables call it.
    module : str or None
        A module of ``planted/``; None for a copy without a fault.
    share : float
        Of time, where the module asks for it; 0 of the same module without its fault.
    wanted : float
        How often it is to be found.
    """

    name: str
    module: str | None
    share: float = 0.0
    wanted: float = 1.0


NO_FAULT = Fault("no change", None)

EXACT_FAULTS = (
    Fault("an extra evaluation a step", "extra_evaluation"),
    Fault("a stage's graph kept alive", "kept_graph"),
    Fault("a parameter-sized buffer kept", "kept_buffer"),
    Fault("a sync a stage", "stage_sync"),
    Fault("float32 inside float64", "narrow_slopes"),
    Fault("a wrong digit in b_5", "wrong_digit"),
)

COUNTED_FAULTS = (Fault("data read through the wrong way", "wrong_way", 1.0),)
"""Faults that no exact metric sees, and no count of instructions: only the simulated cache."""

BASES = {
    "more_time": Fault("no more time", "more_time"),
    "more_sleep": Fault("no more sleep", "more_sleep"),
    "wrong_way": Fault("data read through the right way", "wrong_way"),
}
"""What such a fault is compared with: the same module, told to do nothing wrong. Asking the clock
twice an evaluation is itself 4 % of a small solve, and would else make 3 % out to be 7 %."""

TIME_FAULTS = (
    Fault("3% more time", "more_time", 0.03, 0.8),
    Fault("5% more time", "more_time", 0.05, 0.95),
    Fault("10% more time", "more_time", 0.10, 0.95),
    Fault("3% more time, asleep", "more_sleep", 0.03, 0.8),
)

FAULTS = (NO_FAULT, *EXACT_FAULTS, *COUNTED_FAULTS, *TIME_FAULTS)


def plant(fault: Fault, folder: Path) -> Path:
    """Write a copy of symadj with a fault into a folder, and make sure that the fault is met.

    Raises
    ------
    PlantingError
        If it is not met: the library has changed, and the fault must follow.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HARNESS / "symadj", folder / "symadj", ignore=ignored)
    source = "hits = 1\n"
    if fault.module is not None:
        source = (PLANTED / f"{fault.module}.py").read_text(encoding="utf-8")
    if fault.share:
        if "SHARE = 0.0\n" not in source:
            raise PlantingError(f"{fault.module}.py has no line 'SHARE = 0.0' to be set")
        source = source.replace("SHARE = 0.0\n", f"SHARE = {fault.share!r}\n")
    (folder / f"{MODULE}.py").write_text(source, encoding="utf-8")
    with (folder / "symadj" / "__init__.py").open("a", encoding="utf-8") as stream:
        stream.write(f"\nimport {MODULE}  # noqa\n")
    _check(fault, folder)
    return folder


def _check(fault: Fault, folder: Path) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1])\n{_CHECK}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_SECONDS,
    )
    if done.stdout.strip() != "met":
        raise PlantingError(
            f"the fault {fault.name!r} does not take effect: make planted/{fault.module}.py follow "
            f"the library.\n{done.stderr.strip()[-1000:]}"
        )


def base_of(fault: Fault) -> Fault:
    """Return what a fault is compared with, where it is not the library as it is."""
    return BASES.get(fault.module or "", NO_FAULT)
