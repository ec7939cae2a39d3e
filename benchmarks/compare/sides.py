"""What is compared: two sides, each a set of packages to import and a method to run.

A side is named by

- a commit, tag or branch of this repository, ``v0.1.0``;
- ``.``, the working tree as it is;
- a release of a package, ``torchdiffeq==0.2.4``;
- a folder of packages, ``path/to/folder``, as it is.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["commit", "release", "folder"]

WORKING_TREE = "."
_RELEASE = re.compile(r"(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.+!-]+)")
_METHODS = {"torchdiffeq": "torchdiffeq-backprop"}
DEFAULT_METHOD = "symadj"


class SideError(ValueError):
    """A side that cannot be compared; the message says what was given and what is allowed."""


@dataclass(frozen=True)
class Side:
    """One side, resolved: the same identity means the same code.

    Attributes
    ----------
    given : str
        As it was named.
    kind : {"commit", "release", "folder"}
    identity : str
        The tree's hash, the release, or the hash of the folder's Python files.
    commit : str
        Where the build starts from, for a commit; the package or the folder otherwise.
    package : str
        The package under test.
    method : str
        A name of `benchmarks.methods.METHODS`.
    """

    given: str
    kind: Kind
    identity: str
    commit: str
    package: str
    method: str

    @property
    def label(self) -> str:
        """What tables call it."""
        name = "working tree" if self.given == WORKING_TREE else self.given
        if self.kind == "commit" and not self.commit.startswith(self.given):
            name += f" ({self.commit[:8]})"
        return name if self.method == _default_method(self.package) else f"{name}, {self.method}"


def resolve(given: str, repository: Path, method: str | None = None) -> Side:
    """Find out what is meant.

    Parameters
    ----------
    given : str
        See the module.
    repository : Path
        A checkout.
    method : str, optional
        Default: symadj, or torchdiffeq's backpropagation for a release of torchdiffeq.

    Raises
    ------
    SideError
        If it is none of the four.
    """
    release = _RELEASE.fullmatch(given)
    if release:
        package = release["package"]
        return Side(given, "release", given, package, package, method or _default_method(package))
    method = method or DEFAULT_METHOD
    if given == WORKING_TREE:
        # A commit of the tracked files as they are; nothing refers to it, nothing is changed.
        commit: str | None = git(repository, "stash", "create") or git(
            repository, "rev-parse", "HEAD"
        )
    else:
        commit = _commit(given, repository)
    if commit:
        tree = git(repository, "rev-parse", f"{commit}^{{tree}}")
        return Side(given, "commit", tree, commit, "symadj", method)
    folder = Path(given)
    if folder.is_dir():
        where = str(folder.resolve())
        return Side(given, "folder", digest(folder), where, "symadj", method)
    raise SideError(
        f"{given!r} is no commit, tag or branch of {repository}, no folder, and no release such as "
        f"'torchdiffeq==0.2.5'. The working tree is '.'. A shallow clone must fetch a commit first."
    )


def git(repository: Path, *arguments: str) -> str:
    """Return what git prints.

    Raises
    ------
    SideError
        With git's own words.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=repository, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SideError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def digest(folder: Path) -> str:
    """Return a hash of a folder's Python files, names and contents."""
    total = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        total.update(file.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def _commit(given: str, repository: Path) -> str | None:
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", f"{given}^{{commit}}")
    except SideError:
        return None


def _default_method(package: str) -> str:
    return _METHODS.get(package, DEFAULT_METHOD)
