"""Methods from outside this repository: installed ones, and those that are named.

An entry point of the group ``symadj.methods`` is found by itself. A function that is named by
``SYMADJ_BENCHMARK_METHODS`` (or pytest's ``--method``) need not be declared anywhere:
``package.module:function``, or ``name=package.module:function``; several, separated by commas.
docs/benchmark-your-solver.md has the contract and an example.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata
from typing import Any, cast

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Method, MissingPackageError, NotOfferedError, Solve

GROUP = "symadj.methods"
METHODS_VARIABLE = "SYMADJ_BENCHMARK_METHODS"


def foreign_methods() -> Iterator[Method]:
    """Yield the methods of installed packages, then those that the environment names."""
    for point in metadata.entry_points(group=GROUP):
        yield _method(point)
    for text in os.environ.get(METHODS_VARIABLE, "").split(","):
        if text.strip():
            yield named_method(text.strip())


def named_method(text: str) -> Method:
    """Return the method of a text such as ``"package.module:function"``.

    Parameters
    ----------
    text : str
        Where the function is; before it, with ``=`` between, its name in the results.

    Raises
    ------
    ValueError
        If the text is of another form. A function that is not there fails where it is called, so
        that it is a row of the results that says so.
    """
    name, _, value = text.rpartition("=")
    module, _, function = value.partition(":")
    parts = [*module.split("."), *function.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise ValueError(
            f"method {text!r} is not of the form package.module:function, "
            "or name=package.module:function"
        )
    return _method(metadata.EntryPoint(name or value, value, GROUP))


def _method(point: metadata.EntryPoint) -> Method:
    def solve(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
        function = _loaded(point)
        try:
            return function(field, y0, t, how)
        except NotImplementedError as error:  # the contract's word for "not mine"
            raise NotOfferedError(f"{point.name}: {error}") from error

    return Method(point.name, solve, is_exact=False, takes_same_steps=False)


def _loaded(point: metadata.EntryPoint) -> Solve:
    try:
        function: Any = point.load()
    except (ImportError, AttributeError) as error:
        raise MissingPackageError(
            f"the method {point.name} is to be {point.value}, which cannot be imported ({error}); "
            "install its package into this environment"
        ) from error
    return cast(Solve, function)
