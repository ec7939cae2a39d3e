"""One mutant put to the test, in a process forked from one where torch is imported already."""

import ast
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest
import torch

assert torch  # imported for the processes forked from this one

PASSED, FAILED = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED


class _Changed(SourceFileLoader):
    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


class _Finder(MetaPathFinder):
    """Finds one module, changed: before all other finders, and nothing is written to disk."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._loader = name, _Changed(name, str(path), tree)

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._loader.path, loader=self._loader
        )


def survives(
    module: str, path: Path, tree: ast.Module, tests: Sequence[str], limit_seconds: float
) -> bool:
    """Return whether all tests pass although the module is changed; not within the limit: no."""
    child = os.fork()
    if child == 0:
        os.setsid()  # so that what a test starts ends with it
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.meta_path.insert(0, _Finder(module, path, tree))
        # A mutant that spoils the import is found, too: by an exit code other than that of success.
        options = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
        status = 1
        try:
            status = int(pytest.main([*options, *tests]))
        finally:
            os._exit(status)
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == PASSED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
