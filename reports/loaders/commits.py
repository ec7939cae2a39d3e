"""Subjects, tags and order of commits, asked of git; without it, nothing is known of them."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from reports.records import Commit

_HASH = re.compile(r"[0-9a-f]{40}")
_FORMAT = "%H%x1f%D%x1f%s"


def load_commits(repository: Path, hashes: Iterable[str]) -> dict[str, Commit]:
    """Look up commits.

    Parameters
    ----------
    repository : Path
        A folder inside a git repository; if it is none, nothing is found.
    hashes : iterable of str
        Full hashes; what is none is passed over, so that no text can be an option of git's.
    """
    wanted = sorted({name for name in hashes if _HASH.fullmatch(name)})
    if not wanted:
        return {}
    tell = ["log", "--no-walk=unsorted", "--ignore-missing", "--decorate=short"]
    tell += ["--decorate-refs=refs/tags", f"--format={_FORMAT}", "--stdin"]
    walk = ["rev-list", "--date-order", "--reverse", "--ignore-missing", "--stdin"]
    told, walked = (_lines(repository, arguments, wanted) for arguments in (tell, walk))
    places = {name: place for place, name in enumerate(walked, start=1)}
    found = {}
    for line in told:
        name, tags, subject = line.split("\x1f", 2)
        names = [tag.removeprefix("tag: ") for tag in tags.split(", ") if tag]
        if name in wanted:
            found[name] = Commit(subject, tuple(sorted(names)), places.get(name, 0))
    return found


def _lines(repository: Path, arguments: list[str], names: list[str]) -> list[str]:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments],
            input="\n".join(names),
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return []
    return done.stdout.splitlines()
