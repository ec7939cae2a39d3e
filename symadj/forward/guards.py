"""A function of ``torch.compile``, with its guards asked directly.

Around a compiled function torch puts what it needs to compile it anew at any call. That takes ten
times as long as the guards themselves, and once a solve it is as long as several steps of a small
network. So the guards are asked first: where some hold, what was compiled under them is called.
"""

import types
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from symadj.forward.traced import Traced


class Part(NamedTuple):
    """Some of the outputs of a graph.

    Attributes
    ----------
    outputs
        As in `Form`.
    fresh : frozenset of int
        Which outputs of the graph are to have memory of their own.
    """

    outputs: tuple[tuple[int, Any], ...]
    fresh: frozenset[int]


@dataclass(slots=True)
class Form:
    """How what was compiled calls its graph: the same each time, as long as its guards hold.

    Attributes
    ----------
    places : tuple of (int, int)
        Which of the arguments that change goes to which input.
    outputs : tuple of (int, object)
        For each thing returned, which output of the graph it is, or -1 and itself.
    """

    places: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, Any], ...]
    _parts: dict[Any, Part] = field(default_factory=dict)

    def part(self, wanted: Sequence[int], in_workspace: Container[int]) -> Part:
        """Return some of its outputs.

        Parameters
        ----------
        wanted : sequence of int
            Which of the things returned.
        in_workspace : container of int
            Those of them that are read before the next call, and need no memory of their own.
        """
        key = (wanted, in_workspace)
        if key not in self._parts:
            fresh = {self.outputs[place][0] for place in wanted if place not in in_workspace}
            outputs = tuple(self.outputs[place] for place in wanted)
            self._parts[key] = Part(outputs, frozenset(fresh - {-1}))
        return self._parts[key]


@dataclass(slots=True)
class Entry:
    """What was compiled under certain guards.

    Attributes
    ----------
    function : callable
        Calls it without asking them.
    guards : object
        Prints what they ask.
    form : Form or None
        None as long as nobody has looked, or where there is no such form.
    reads : tuple of int, or None
        Which inputs of its graph a gradient would flow to, apart from what it is called with; None
        as long as nobody has looked.
    followers : dict
        Graphs that may be called where its guards hold (see `symadj.forward.followers`), None for
        those that may not.
    """

    function: Traced
    guards: Any
    form: Form | None = None
    reads: tuple[int, ...] | None = None
    followers: dict[Any, Any] = field(default_factory=dict)


class GuardedFunction:
    """A function, compiled for each kind of arguments that it is called with.

    Parameters
    ----------
    function : callable
        With positional parameters alone, the last of them starred or not.
    backend : callable
        Makes a graph of what was traced.
    """

    def __init__(self, function: Traced, backend: Callable[..., Any]) -> None:
        self._function = _with_own_code(function)
        self._compiled = torch.compile(
            self._function, fullgraph=True, dynamic=False, backend=backend
        )
        self._made: dict[types.CodeType, Entry] = {}
        code = self._function.__code__
        self._names, self._count = code.co_varnames, code.co_argcount
        self._has_star = bool(code.co_flags & _HAS_STAR)
        self._cells = list(zip(code.co_freevars, self._function.__closure__ or (), strict=True))

    def __call__(self, *args: Any) -> Any:
        """Call what was compiled for such arguments; trace and compile it first, if need be."""
        entry = self.find(args)
        if entry is not None:
            return entry.function(*args)
        with (
            torch._dynamo.config.patch(
                trace_autograd_ops=True,
                side_effect_replay_policy="error",
                skip_nnmodule_hook_guards=False,  # a hook that comes later is to be called
            ),
            warnings.catch_warnings(),
        ):
            # torch.compile looks for it at every tensor that f reads.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a")
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, as it is imported
            return self._compiled(*args)

    def find(self, args: Sequence[Any]) -> Entry | None:
        """Return what was compiled under guards that hold now."""
        if _is_told_otherwise():
            return None
        code = self._function.__code__
        found = None
        for entry in torch._C._dynamo.eval_frame._debug_get_cache_entry_list(code):
            if found is None:
                found = self._by_name(args)
            if entry.guard_manager.check(found):
                if entry.code not in self._made:
                    again = _with_code(self._function, entry.code)
                    self._made[entry.code] = Entry(again, entry.guard_manager)
                return self._made[entry.code]
        return None

    def _by_name(self, args: Sequence[Any]) -> dict[str, Any]:
        """Return what the function would find under its names: guards are asked of that."""
        found = dict(zip(self._names[: self._count], args, strict=False))
        if self._has_star:
            found[self._names[self._count]] = tuple(args[self._count :])
        for name, cell in self._cells:
            found[name] = cell.cell_contents
        return found


_HAS_STAR = 4
"""`inspect.CO_VARARGS`: the starred parameter comes after the others."""


def _is_told_otherwise() -> bool:
    """Whether the caller has set a stance, under which torch is to decide what is run."""
    return bool(torch._dynamo.eval_frame._stance.stance != "default")


def _with_code(function: types.FunctionType, code: types.CodeType) -> types.FunctionType:
    """Return a function that differs in its code alone."""
    other = types.FunctionType(
        code,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    other.__kwdefaults__ = function.__kwdefaults__
    return other


def _with_own_code(function: Any) -> types.FunctionType:
    """Return a copy of a function whose code is an object of its own: graphs are kept by that."""
    return _with_code(function, function.__code__.replace())
