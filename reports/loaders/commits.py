"""Subjects and tags of commits, asked of git. Without git, or a repository, nothing is known."""

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
    command = ["git", "-C", str(repository), "log", "--no-walk=unsorted", "--ignore-missing"]
    command += ["--decorate=short", "--decorate-refs=refs/tags", f"--format={_FORMAT}", "--stdin"]
    try:
        done = subprocess.run(
            command, input="\n".join(wanted), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return {}
    found = {}
    for line in done.stdout.splitlines():
        name, tags, subject = line.split("\x1f", 2)
        names = [tag.removeprefix("tag: ") for tag in tags.split(", ") if tag]
        if name in wanted:
            found[name] = Commit(subject, tuple(sorted(names)))
    return found
