"""A side's packages as one process has imported them, beside those of other sides."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

UNDER_TEST = ("symadj", "torchdiffeq")
_HARNESS = "benchmarks"


class LoadedSide:
    """One side's packages, and the harness, which keeps what it has imported of them.

    As a context, it lets imports find this side's packages, and hides them again afterwards: what
    is imported at first use only comes from the right side too.

    Parameters
    ----------
    paths : sequence of str
        Folders of packages, put in front of the import path.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        found = {entry.stem for path in paths for entry in Path(path).iterdir()}
        self._names = found | {*UNDER_TEST, _HARNESS}
        self._modules: dict[str, ModuleType] = {}
        self.actions: Any = None

    def load(self) -> dict[str, str]:
        """Import the packages; return the files that those under test came from."""
        self.actions = importlib.import_module("benchmarks.compare.actions")
        return {
            name: str(getattr(sys.modules[name], "__file__", None))
            for name in UNDER_TEST
            if sys.modules.get(name) is not None
        }

    def __enter__(self) -> LoadedSide:
        """Show them, in place of what another side has left."""
        sys.path[:0] = self._paths
        self._remove()
        sys.modules.update(self._modules)
        return self

    def __exit__(self, *_: object) -> None:
        """Hide them."""
        del sys.path[: len(self._paths)]
        self._modules = self._remove()

    def _remove(self) -> dict[str, ModuleType]:
        own = {
            name: module
            for name, module in sys.modules.items()
            if name.partition(".")[0] in self._names
        }
        for name in own:
            del sys.modules[name]
        return own
