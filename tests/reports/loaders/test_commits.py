"""Subjects and tags come from git, where there is one; nothing that is read can steer it."""

import subprocess
from pathlib import Path

from reports.loaders import load_commits


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_subjects_and_tags_are_found(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet")
    subject = "</script><b>one</b> tag: \x1f two"
    _git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", subject)
    _git(tmp_path, "tag", "v1")
    first = _git(tmp_path, "rev-parse", "HEAD")

    found = load_commits(tmp_path, [first, "f" * 40, "--output=x", "unknown"])

    assert list(found) == [first]
    assert found[first].subject == subject
    assert found[first].tags == ("v1",)


def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert load_commits(tmp_path, ["a" * 40]) == {}
