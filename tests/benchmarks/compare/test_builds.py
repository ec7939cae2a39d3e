"""Sides and builds: what is meant is found, a commit that does not build is said."""

import subprocess
import sys
import sysconfig

import pytest
from asv import environment

from benchmarks.compare.builds import Build, BuildError, build_sides
from benchmarks.compare.sides import SideError, resolve

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "symadj"
version = "1"
[tool.setuptools]
packages = ["symadj"]
"""


def git(repository, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=repository, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "symadj").mkdir(parents=True)
    (folder / "symadj" / "__init__.py").write_text("value = 1\n")
    (folder / "pyproject.toml").write_text(PROJECT)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    git(folder, "tag", "v0.1")
    return folder


def test_a_tag_and_a_clean_working_tree_are_the_same_code(repository):
    tag, tree = resolve("v0.1", repository), resolve(".", repository)
    assert tag.identity == tree.identity
    assert tag.label == f"v0.1 ({tag.commit[:8]})"
    (repository / "symadj" / "__init__.py").write_text("value = 2\n")
    assert resolve(".", repository).identity != tag.identity
    assert git(repository, "status", "--porcelain") == "M symadj/__init__.py"


def test_releases_and_folders_are_sides_too(repository, tmp_path):
    release = resolve("torchdiffeq==0.2.4", repository)
    assert (release.kind, release.method) == ("release", "torchdiffeq-backprop")
    folder = resolve(str(tmp_path), repository, "symadj-stages")
    assert (folder.kind, folder.label) == ("folder", f"{tmp_path}, symadj-stages")


def test_what_is_none_of_these_is_refused(repository):
    with pytest.raises(SideError, match="'v9' is no commit, tag or branch"):
        resolve("v9", repository)


def test_both_sides_are_built_once_each(repository, tmp_path):
    (repository / "symadj" / "__init__.py").write_text("value = 2\n")
    sides = resolve("v0.1", repository), resolve(".", repository)
    builds = build_sides(sides, repository, tmp_path / "builds")
    for build, value in zip(builds, (1, 2), strict=True):
        (path,) = build.paths
        code = f"import sys; sys.path.insert(0, {path!r}); import symadj; print(symadj.value)"
        done = subprocess.run(
            [build.python, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{value}\n"
    assert build_sides(sides, repository, tmp_path / "builds") == builds


def test_a_commit_that_does_not_build_is_said_and_leaves_nothing_half_made(repository, tmp_path):
    (repository / "pyproject.toml").write_text(PROJECT.replace('version = "1"', 'version = "x y"'))
    sides = resolve("v0.1", repository), resolve(".", repository)
    with pytest.raises(BuildError, match=r"working tree .* cannot be built"):
        build_sides(sides, repository, tmp_path / "builds", "here")
    left = [path.name for path in (tmp_path / "builds").iterdir() if path.is_dir()]
    assert left == [sides[0].identity]


def test_a_package_from_elsewhere_is_refused(tmp_path):
    build = Build("/usr/bin/python3", (str(tmp_path),), "symadj")
    build.check({"symadj": str(tmp_path / "symadj" / "__init__.py")})
    with pytest.raises(BuildError, match="came from /elsewhere"):
        build.check({"symadj": "/elsewhere/symadj/__init__.py"})
    with pytest.raises(BuildError, match="cannot be imported"):
        build.check({})


def test_what_asv_installed_comes_before_the_checkout(repository, tmp_path, monkeypatch):
    class Made:
        """An environment that is there already."""

        def create(self):
            pass

        def install_project(self, settings, checkout, commit):
            pass

        def find_executable(self, name):
            return sys.executable

    (repository / "asv.conf.json").write_text('{"version": 1, "project": "p", "repo": "."}')
    monkeypatch.setattr(environment, "get_environments", lambda *_: iter([Made()]))
    side = resolve("v0.1", repository)
    builds = build_sides((side, side), repository, tmp_path / "builds", "asv")
    installed = sysconfig.get_path("purelib")
    assert [build.paths for build in builds] == [(installed,)] * 2
    builds[0].check({"symadj": f"{installed}/symadj/__init__.py"})
    with pytest.raises(BuildError, match="came from /checkout"):
        builds[0].check({"symadj": "/checkout/symadj/__init__.py"})
