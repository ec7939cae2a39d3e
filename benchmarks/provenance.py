"""Where results come from: versions, threads, machine and data, which asv's files leave out.

    python -m benchmarks.provenance --results DIR --commit HASH --environment NAME

asv records no package versions for an environment that it did not make itself. This writes them
to ``<results>/<machine>/provenance/<commit, 8 digits>-<environment>.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch

from .environment import selected_device, selected_num_threads
from .methods.foreign import GROUP, METHODS_VARIABLE, named_method
from .problems import PROBLEMS

SCHEMA = 1
PROVENANCE = "provenance"
"""The folder, in a machine's, that asv does not look into."""
PACKAGES = (
    "symadj",
    "torch",
    "torchdiffeq",
    "torchode",
    "torchdyn",
    "diffrax",
    "jax",
    "jaxlib",
    "torch_symplectic_adjoint",
    "numpy",
    "scikit-learn",
    "memray",
    "asv",
    "asv_runner",
    "pytest",
    "pytest-benchmark",
)
CPU_FILE = Path("/proc/cpuinfo")


def provenance(commit: str) -> dict[str, object]:
    """Return what is to be known of a run in this environment.

    Parameters
    ----------
    commit : str
        The commit that was measured, in full.
    """
    return {
        "schema": SCHEMA,
        "commit": commit,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    } | surroundings()


def described_problems() -> dict[str, dict[str, str]]:
    """Return where every problem's data come from: measured, computed, or drawn at random.

    A data set whose files are absent is drawn, so the same problem has other data elsewhere.
    """
    return {
        name: {"data": problem.data, "source": problem.source, "version": problem.version}
        for name, problem in PROBLEMS.items()
    }


def surroundings() -> dict[str, object]:
    """Return versions, threads, machine and the problems' data, whatever is measured."""
    return {
        "python": platform.python_version(),
        "packages": _versions(),
        "num_threads": selected_num_threads(),
        "cpu": _cpu_name(),
        "gpu": torch.cuda.get_device_name() if selected_device().type == "cuda" else None,
        "problems": described_problems(),
        "foreign_methods": described_foreign_methods(),
    }


def described_foreign_methods() -> dict[str, str]:
    """Return where each method from outside comes from: its function, its package's version."""
    described = {
        point.name: f"{point.value} ({point.dist.name} {point.dist.version})"
        if point.dist
        else point.value
        for point in metadata.entry_points(group=GROUP)
    }
    named = filter(None, os.environ.get(METHODS_VARIABLE, "").split(","))
    return described | {named_method(text.strip()).name: text.strip() for text in named}


def write_provenance(results: Path, machine: str, commit: str, environment: str) -> Path:
    """Write the provenance beside a machine's results and return the file's path."""
    path = results / machine / PROVENANCE / f"{commit[:8]}-{environment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(provenance(commit), indent=2) + "\n", encoding="utf-8")
    return path


def newest_environment(results: Path, machine: str, commit: str) -> str:
    """Return asv's name of the environment in which a commit was last measured.

    Raises
    ------
    SystemExit
        If the folder holds no results of that commit.
    """
    prefix = f"{commit[:8]}-"
    files = sorted(
        (results / machine).glob(f"{prefix}*.json"), key=lambda path: path.stat().st_mtime
    )
    if not files:
        raise SystemExit(
            f"{results / machine} holds no results of commit {commit[:8]}: run asv first, or name "
            f"the folder by --results and the machine by --machine."
        )
    return files[-1].stem.removeprefix(prefix)


def _versions() -> dict[str, str]:
    """Return the installed packages' versions; those not installed are left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_name() -> str:
    """Return the processor's name; Python's own answer is only an architecture on Linux."""
    if CPU_FILE.exists():
        for line in CPU_FILE.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Record versions, threads and machine of a run.")
    parser.add_argument("--results", type=Path, required=True, help="asv's results folder")
    parser.add_argument("--commit", required=True, help="the commit measured, its full hash")
    parser.add_argument(
        "--environment",
        help="asv's name of the environment (default: that of the commit's newest results)",
    )
    parser.add_argument(
        "--machine", default=platform.node(), help="asv's name of the machine (default: this host)"
    )
    given = parser.parse_args(arguments)
    environment = given.environment or newest_environment(
        given.results, given.machine, given.commit
    )
    print(write_provenance(given.results, given.machine, given.commit, environment))


if __name__ == "__main__":
    main()
