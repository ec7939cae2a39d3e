"""Subjects and tags come from git, where there is one; nothing that is read can steer it."""

import os
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


def test_a_commit_is_newer_than_what_it_is_made_upon_whatever_the_dates_say(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet")
    names = []
    for date in ("2026-03-01", "2026-03-01", "2026-02-01"):
        made = ["commit", "--quiet", "--allow-empty", "-m", "x"]
        subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@x", *made],
            check=True,
            env={**os.environ, "GIT_COMMITTER_DATE": f"{date}T00:00:00Z"},
        )
        names.append(_git(tmp_path, "rev-parse", "HEAD"))

    found = load_commits(tmp_path, names)

    assert sorted(names, key=lambda name: found[name].place) == names
    assert len({commit.place for commit in found.values()}) == 3


def test_without_a_repository_nothing_is_known(tmp_path: Path) -> None:
    assert load_commits(tmp_path, ["a" * 40]) == {}
