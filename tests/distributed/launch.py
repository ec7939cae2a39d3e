"""Starts checks in several processes by torchrun, and reads what each of them found."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.distributed.world import RESULTS

ROOT = Path(__file__).parents[2]


def torchrun(
    module: str, size: int, folder: Path, *words: str, timeout: float = 400.0, backend: str = "gloo"
) -> subprocess.CompletedProcess[str]:
    """Run a module in so many processes of this machine; all are gone when this returns."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(size), "-m", module, *words]
    environment = {
        **os.environ,
        RESULTS: str(folder),
        "SYMADJ_CHECKS_BACKEND": backend,
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def found_by(
    module: str, size: int, folder: Path, *names: str, backend: str = "gloo"
) -> dict[str, str]:
    """Return, for each check by name, what went wrong in any of the processes, or ""."""
    done = torchrun(module, size, folder, *names, backend=backend)
    reports = [folder / f"{rank}.json" for rank in range(size)]
    if not all(path.exists() for path in reports):
        raise RuntimeError(f"{module} did not run in {size} processes:\n{done.stderr[-4000:]}")
    found: dict[str, str] = {}
    for rank, path in enumerate(reports):
        for name, failure in json.loads(path.read_text())["found"].items():
            found[name] = found.get(name, "") + (f"rank {rank}:\n{failure}" if failure else "")
    if done.returncode:
        found["the processes ended well"] = done.stderr[-4000:]
    return found
