"""A tree is known by its commit and by what lies in it."""

import subprocess

import pytest

from benchmarks.runner import code_state
from benchmarks.runner.code_state import WrongTreeError


def git(root, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for package in code_state.MEASURED:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("x = 1\n")
    (tmp_path / "README.md").write_text("read\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.setattr(code_state, "_imported_from", lambda _: tmp_path / "symadj")
    return tmp_path


def test_the_same_tree_is_the_same(tree):
    first = code_state.code_state(tree)
    assert code_state.code_state(tree) == first
    assert not first.is_dirty
    assert len(first.commit) == 40


def test_a_change_of_what_is_measured_is_another_state(tree):
    clean = code_state.code_state(tree)
    (tree / "symadj" / "__init__.py").write_text("x = 2\n")
    dirty = code_state.code_state(tree)
    assert dirty.is_dirty
    assert dirty.digest != clean.digest
    (tree / "symadj" / "__init__.py").write_text("x = 3\n")
    assert code_state.code_state(tree).digest not in {clean.digest, dirty.digest}
    (tree / "symadj" / "__init__.py").write_text("x = 1\n")
    assert code_state.code_state(tree) == clean


def test_a_new_file_is_another_state(tree):
    clean = code_state.code_state(tree)
    (tree / "benchmarks" / "new.py").write_text("")
    assert code_state.code_state(tree).is_dirty
    assert code_state.code_state(tree).digest != clean.digest


def test_what_has_no_say_does_not_count(tree):
    clean = code_state.code_state(tree)
    (tree / "README.md").write_text("changed\n")
    for cache in ("__pycache__", ".pytest_cache"):
        (tree / "symadj" / cache).mkdir()
        (tree / "symadj" / cache / "x").write_text("")
    assert code_state.code_state(tree).digest == clean.digest


def test_another_commit_is_another_state_even_with_the_same_files(tree):
    first = code_state.code_state(tree)
    git(tree, "commit", "--allow-empty", "-m", "second")
    assert code_state.code_state(tree).commit != first.commit


def test_an_edit_during_the_run_is_refused(tree):
    digest = code_state.code_state(tree).digest
    code_state.refuse_changes(tree, digest)
    (tree / "symadj" / "__init__.py").write_text("x = 2\n")
    with pytest.raises(WrongTreeError, match="changed since the run began"):
        code_state.refuse_changes(tree, digest)


def test_a_library_from_elsewhere_is_refused(tree, monkeypatch):
    monkeypatch.setattr(code_state, "_imported_from", lambda _: tree / "elsewhere" / "symadj")
    with pytest.raises(WrongTreeError, match=r"elsewhere.*pip install --no-deps -e"):
        code_state.code_state(tree)


def test_no_repository_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(code_state, "_imported_from", lambda _: None)
    with pytest.raises(WrongTreeError, match="Run from a clone"):
        code_state.code_state(tmp_path)


def test_the_code_of_a_method_from_outside_is_known_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "outside_solver.py"
    texts = ("outside_solver:solve", "mine=outside_solver:solve", "absent.module:solve")
    file.write_text("x = 1\n")
    first = code_state.foreign_code(",".join(texts))
    file.write_text("x = 2\n")
    second = code_state.foreign_code(",".join(texts))
    assert list(first) == list(texts)
    assert [first[text] == second[text] for text in texts] == [False, False, True]
    assert second["absent.module:solve"] == "not there"
    assert code_state.foreign_code("") == {}
