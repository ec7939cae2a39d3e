"""What is published: the library alone, with types, licence and the version that the tag says.

SYMADJ_DIST names a folder with the archives to look at; without it they are built here.
"""

import email
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import symadj

ROOT = Path(__file__).parents[2]
BESIDE = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in"),
    *("PKG-INFO", "setup.cfg", "symadj.egg-info"),  # which setuptools writes
}
"""What lies beside the library in the source archive: what it is built from, and who to cite."""


def git(folder, *words):
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def build(tree, dist, *what):
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), *what]
    done = subprocess.run(
        [*command, str(tree)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copy(names, tree):
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)


def tracked(*under):
    command = ["git", "ls-files", *under]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """Return a copy of the tree as it lies here, in a repository of its own that has a tag."""
    tree = tmp_path_factory.mktemp("tagged")
    copy(tracked(), tree)
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message=as it lies here")
    git(tree, "tag", "v7.8.9")
    return tree


@pytest.fixture(scope="module")
def dist(tagged, tmp_path_factory):
    if "SYMADJ_DIST" in os.environ:
        return ROOT / os.environ["SYMADJ_DIST"]
    folder = tmp_path_factory.mktemp("dist")
    build(tagged, folder)
    return folder


def one(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="module")
def wheel_names(dist):
    with zipfile.ZipFile(one(dist, "*.whl")) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def source_names(dist):
    """Return the files of the source archive, without the folder that all of them lie in."""
    with tarfile.open(one(dist, "*.tar.gz")) as archive:
        names = [member.name for member in archive if member.isfile()]
    (top,) = {name.partition("/")[0] for name in names}
    assert top == one(dist, "*.tar.gz").name.removesuffix(".tar.gz")
    return [name.partition("/")[2] for name in names]


def test_a_wheel_holds_the_library_and_its_metadata_only(wheel_names):
    about = {name for name in wheel_names if name.partition("/")[0].endswith(".dist-info")}
    assert set(wheel_names) - about == tracked("symadj")
    assert {Path(name).name for name in about} == {
        *("LICENSE", "METADATA", "WHEEL", "top_level.txt", "RECORD")
    }
    assert "symadj/py.typed" in wheel_names


def test_a_source_archive_holds_besides_only_what_it_is_built_from(source_names):
    library = {name for name in source_names if name.startswith("symadj/")}
    assert library == tracked("symadj")
    assert {name.partition("/")[0] for name in set(source_names) - library} == BESIDE


def test_the_metadata_say_what_there_is(dist):
    with zipfile.ZipFile(one(dist, "*.whl")) as archive:
        name = next(each for each in archive.namelist() if each.endswith("/METADATA"))
        found = email.message_from_bytes(archive.read(name))
    assert {"bench", "report", "test"} <= set(found.get_all("Provides-Extra"))
    assert found["License-Expression"] == "MIT"
    assert [need for need in found.get_all("Requires-Dist") if "extra" not in need] == [
        "torch>=2.11"
    ]


def test_a_tag_is_the_version(tagged, tmp_path):
    build(tagged, tmp_path, "--wheel")
    assert one(tmp_path, "*.whl").name == "symadj-7.8.9-py3-none-any.whl"


@pytest.mark.parametrize(("is_archive", "version"), [(True, "7.8.9"), (False, "0.0.0")])
def test_a_copy_without_git_builds(tagged, tmp_path, is_archive, version):
    """What `git archive` wrote knows its tag; what somebody copied knows nothing."""
    bare = tmp_path / "bare"
    if is_archive:
        git(tagged, "archive", "--output", str(tmp_path / "a.tar"), "HEAD")
        with tarfile.open(tmp_path / "a.tar") as archive:
            archive.extractall(bare, filter="data")
    else:
        copy(tracked(), bare)
    build(bare, tmp_path, "--wheel")
    assert one(tmp_path, "*.whl").name == f"symadj-{version}-py3-none-any.whl"


def test_the_library_knows_its_version():
    assert symadj.__version__ == metadata.version("symadj")


def test_a_copy_that_is_not_installed_can_be_imported(monkeypatch):
    def nowhere(name):
        raise metadata.PackageNotFoundError(name)

    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", nowhere)
        assert importlib.reload(symadj).__version__ == "0.0.0"
    importlib.reload(symadj)
