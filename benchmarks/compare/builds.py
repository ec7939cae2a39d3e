"""Making the sides importable.

Where both sides need the same packages, one environment serves both, the one at hand: each side's
own package is built and installed into a folder of its own. Otherwise, or on request, asv makes an
environment for each side by ``asv.conf.json``, which takes minutes the first time.
"""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .sides import Side, SideError, git

ENVIRONMENTS = ("auto", "here", "asv")
BUILD_SECONDS = 600


class BuildError(RuntimeError):
    """A side cannot be built; the message has the end of what the builder said."""


@dataclass(frozen=True)
class Build:
    """A side that can be imported.

    Attributes
    ----------
    python : str
        Interpreter of the environment.
    paths : tuple of str
        To be put in front of its import path, and of the checkout's own symadj.
    package : str
        What must come from there.
    """

    python: str
    paths: tuple[str, ...]
    package: str

    def check(self, origins: dict[str, str]) -> None:
        """Make sure that the package under test is the side's own.

        Raises
        ------
        BuildError
            If it was imported from elsewhere: that would compare something else.
        """
        origin = origins.get(self.package)
        if origin is None:
            raise BuildError(f"{self.package} cannot be imported from {', '.join(self.paths)}")
        if not any(
            Path(origin).resolve().is_relative_to(Path(place).resolve()) for place in self.paths
        ):
            raise BuildError(f"{self.package} came from {origin}, not from {', '.join(self.paths)}")


def build_sides(
    sides: tuple[Side, Side], repository: Path, folder: Path, environment: str = "auto"
) -> tuple[Build, Build]:
    """Build both sides; what was built before is taken as it is.

    Parameters
    ----------
    sides : tuple of Side
    repository : Path
        A checkout.
    folder : Path
        Where builds are kept.
    environment : {"auto", "here", "asv"}
        Auto: asv's only if the sides are commits that do not require the same.

    Raises
    ------
    BuildError, SideError
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if environment == "auto":
        environment = "here" if _require_the_same(sides, repository) else "asv"
    with _alone_in(folder):
        if environment == "asv":
            base, head = (
                _build_by_asv(side, repository, folder / f"asv-{name}")
                for side, name in zip(sides, ("base", "head"), strict=True)
            )
        else:
            base, head = (_build_here(side, repository, folder) for side in sides)
    return base, head


def _require_the_same(sides: tuple[Side, Side], repository: Path) -> bool:
    commits = [side.commit for side in sides if side.kind == "commit"]
    needed = [_requirements(commit, repository) for commit in commits]
    return all(each == needed[0] for each in needed)


def _requirements(commit: str, repository: Path) -> object:
    try:
        project = tomllib.loads(git(repository, "show", f"{commit}:pyproject.toml"))["project"]
    except (SideError, tomllib.TOMLDecodeError, KeyError):
        return None  # the build will say what is wrong
    return project.get("requires-python"), project.get("dependencies")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process build at a time: a second one waits, and says so."""
    with (folder / "lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another comparison that builds in {folder}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_here(side: Side, repository: Path, folder: Path) -> Build:
    if side.kind == "folder":
        return Build(sys.executable, (side.commit,), side.package)
    target = folder / side.identity.replace("==", "-")[:40]
    if not target.is_dir():
        with tempfile.TemporaryDirectory(dir=folder, prefix="unfinished-") as scratch:
            source = Path(scratch) / "source"
            if side.kind == "commit":
                _export(side.commit, repository, source)
                # Without isolation, so that nothing is fetched.
                wanted = ["--no-build-isolation", str(source)]
            else:
                wanted = [side.given]
            built = Path(scratch) / "built"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            _run([*pip, str(built), *wanted], f"{side.label} cannot be built")
            built.rename(target)  # at once: a half-made build is never taken for one
    return Build(sys.executable, (str(target),), side.package)


def _export(commit: str, repository: Path, target: Path) -> None:
    done = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=repository, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"commit {commit[:8]} cannot be read: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")


def _run(command: list[str], complaint: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{complaint}: not done after {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise BuildError(f"{complaint}:\n{said}")


def _build_by_asv(side: Side, repository: Path, folder: Path) -> Build:
    """Have asv make its environment for a commit, and install the commit into it."""
    if side.kind != "commit":
        raise SideError(f"asv builds commits of this repository; {side.given!r} is none")
    # asv is no package of its own environments, in which this module is imported too.
    from asv import config, environment, repo, util  # noqa: PLC0415

    before = Path.cwd()
    os.chdir(repository)
    try:
        settings = config.Config.load("asv.conf.json")
        settings.env_dir = str(folder)
        checkout = repo.get_repo(settings)
        made = next(iter(environment.get_environments(settings, None)))
        made.create()
        made.install_project(settings, checkout, side.commit)
        python = made.find_executable("python")
    except (
        util.UserError,
        util.ProcessError,
        util.ParallelFailure,
        OSError,
        StopIteration,
    ) as error:
        raise BuildError(f"asv cannot build {side.label}: {error}") from error
    finally:
        os.chdir(before)
    return Build(python, (_packages_of(python),), side.package)


def _packages_of(python: str) -> str:
    """Return where an interpreter's environment has its packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    done = subprocess.run([python, "-P", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{python} does not run:\n{done.stderr.strip()}")
    return done.stdout.strip()
