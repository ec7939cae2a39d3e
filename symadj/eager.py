"""Calls that ``torch.compile`` is to leave alone: a time loop whose steps depend on the data."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run as it is inside a compiled one; an ``f`` that is compiled stays so.

    It does as `torch.compiler.disable`, but does not import the compiler, which takes a second,
    nor does it set anything where no compiled function is under way.
    """
    disabled: list[Callable[P, R]] = []

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not (torch.compiler.is_dynamo_compiling() or _is_under_way()):
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(torch.compiler.disable(function))  # type: ignore[no-untyped-call]
        return disabled[0](*args, **kwargs)

    return call


_callback = getattr(torch._C._dynamo.eval_frame, "get_eval_frame_callback", None)


def _is_under_way() -> bool:
    """Whether the compiler looks at every function that is called now, or may do so."""
    if _callback is None:  # an older torch does not tell
        return "torch._dynamo" in sys.modules
    return _callback() is not None
