"""Which code is measured: the commit, and a digest of every file that has a say."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

MEASURED = ("symadj", "benchmarks")
"""The packages that decide what comes out."""


class WrongTreeError(RuntimeError):
    """What would be measured is not the code of this tree."""


@dataclass(frozen=True)
class CodeState:
    """The code of a tree.

    Attributes
    ----------
    commit : str
        Hash of the commit that is checked out.
    digest : str
        Of the measured packages' files, as they lie in the tree.
    is_dirty : bool
        Whether these files differ from the commit's.
    """

    commit: str
    digest: str
    is_dirty: bool


def code_state(root: Path) -> CodeState:
    """Return the state of the tree at ``root``.

    Raises
    ------
    WrongTreeError
        If there is no commit, or Python imports symadj from elsewhere: the results would be filed
        under a commit that they are not of.
    """
    folder = _imported_from("symadj")
    if folder is not None and folder != root / "symadj":
        raise WrongTreeError(
            f"symadj is imported from {folder}, not from {root}: its results would be filed under "
            "a commit that is not its own. Run `pip install --no-deps -e .` in this tree."
        )
    status = _git(root, "status", "--porcelain", "--", *MEASURED)
    return CodeState(_git(root, "rev-parse", "HEAD"), code_digest(root), is_dirty=bool(status))


def refuse_changes(root: Path, digest: str) -> None:
    """Refuse to keep what was measured while the tree was edited: nobody knows of which code it is.

    Raises
    ------
    WrongTreeError
        If the tree's files have no longer this digest.
    """
    if code_digest(root) != digest:
        raise WrongTreeError(
            f"files of {' or '.join(MEASURED)} have changed since the run began; what was measured "
            "last is not kept. Run again, from a clone of its own if you want to go on editing."
        )


def foreign_code(named: str) -> dict[str, str]:
    """Return a digest of the file of each method from outside, such as ``"package.module:solve"``.

    Parameters
    ----------
    named : str
        The methods, separated by commas. Only the file that is named is looked at: whoever changes
        another file of that package removes the journal.
    """
    digests = {}
    for text in filter(None, (part.strip() for part in named.split(","))):
        module = text.rpartition("=")[2].partition(":")[0]
        try:
            spec = find_spec(module)
        except ModuleNotFoundError:
            spec = None
        file = Path(spec.origin) if spec and spec.origin else None
        digests[text] = hashlib.sha256(file.read_bytes()).hexdigest() if file else "not there"
    return digests


def _imported_from(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).resolve().parent if spec and spec.origin else None


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise WrongTreeError(
            f"results are filed by commit, and `git {arguments[0]}` failed in {root}: "
            f"{detail.strip()}. Run from a clone with at least one commit."
        ) from error
    return done.stdout.strip()


def code_digest(root: Path) -> str:
    """Return a digest of every file of the measured packages in a tree."""
    digest = hashlib.sha256()
    for package in MEASURED:
        for file in sorted((root / package).rglob("*")):
            place = file.relative_to(root)
            if file.is_file() and not any(_is_cache(part) for part in place.parts):
                digest.update(place.as_posix().encode() + b"\0")
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _is_cache(name: str) -> bool:
    """Whether a folder holds what tools left: no code, and not taken to the nodes of a cluster."""
    return name == "__pycache__" or name.startswith(".")
