"""Compiled functions called in one solve: their guards asked once, then the way around them."""

import warnings
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from symadj.errors import CompileFallbackWarning
from symadj.forward.field import Field
from symadj.forward.followers import Follower
from symadj.forward.graphs import Called, Graphs, Shortcut, TooLargeError, form_of
from symadj.forward.guards import Entry
from symadj.forward.traced import Traced
from symadj.forward.transforms import is_transformed

MOST_LIGHT_BYTES = 2**13
"""A state beyond which to call ``f`` once takes no longer than a step by a graph, and to ask guards
no longer than a step."""


class Asked(NamedTuple):
    """What is asked of a compiled function.

    Attributes
    ----------
    key : object
        Under which it is found again.
    make : callable
        Returns the function to be compiled.
    fixed : sequence
        What it is given beside ``f``, and is the same throughout a solve.
    changing : sequence of Tensor or None
        What it is given beside that.
    most_leaves : int, optional
        How many tensors that require a gradient it may read: those it was given.
    most_bytes : int, optional
        How much a graph may compute. There is none for more, and nothing said of it.
    """

    key: Any
    make: Callable[[], Traced]
    fixed: Sequence[Any]
    changing: Sequence[Tensor | None]
    most_leaves: int | None = None
    most_bytes: int | None = None


class Calls:
    """The calls of compiled functions in one solve, and in its backward pass.

    Parameters
    ----------
    field : Field
    graphs : Graphs
    own : object
        Under which the function is found that takes the solve's steps.
    is_alone : bool
        Whether no code of the caller's but ``f`` is run between the steps.

    Attributes
    ----------
    is_foreseen : bool
        Whether it was known before the solve what its steps read.
    is_light : bool
        Whether a step was seen to be one of small kernels that change nothing but their results.
    unwatched : callable
        Returns a context without the hooks by which the solve watches modules.
    """

    def __init__(self, field: Field, graphs: Graphs, own: Any, *, is_alone: bool) -> None:
        self._field, self.graphs, self._own, self.is_alone = field, graphs, own, is_alone
        self.is_foreseen = self.is_light = self._gave_up = False
        self._shortcuts: dict[Any, Shortcut] = {}
        self._lean: list[Shortcut] = []
        self._foreseen: Entry | None = None
        self._first: tuple[Entry, tuple[Any, ...]] | None = None
        self._step: tuple[Entry, tuple[Any, ...]] | None = None
        self.unwatched: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def are_on(self) -> bool:
        """Whether steps are to be taken by graphs."""
        return not self._gave_up and self.graphs.failure is None

    def give_up(self, reason: str, *, forever: bool = True) -> None:
        """Go on without graphs, and say so, once for each ``f``."""
        self._gave_up = True
        if forever:
            self.graphs.failure = reason
        warnings.warn(
            f"options={{'compile': ...}}: {reason}. The solve goes on without graphs, as "
            f"exact, but not as fast. TORCH_LOGS=graph_breaks shows where in f it lies; or leave "
            f"the option out.",
            CompileFallbackWarning,
            stacklevel=2,
        )

    def foresee(self, asked: Asked) -> bool:
        """Return whether a graph will take the solve's steps, of which it is known what it reads.

        Its guards are asked here. They answer for ``f`` as a whole, in the solve to come: it will
        do what it did when it was traced, and read what it was seen to read then.
        """
        function = self.graphs.functions.get(asked.key)
        if function is None or not self.are_on or is_watched() or not self.is_alone:
            return False
        args = self._arguments(asked.fixed, asked.changing)
        entry = function.find(args)
        if entry is None or entry.reads is None or entry.form is None:
            self._foreseen = entry
            return False
        self._enter(asked, entry, self.graphs.gather(entry.function, args))
        self.is_foreseen = asked.key in self._shortcuts
        return self.is_foreseen

    def shortcut(self, key: Any) -> Shortcut | None:
        """Return the way around guards that were asked, if there is one."""
        return self._shortcuts.get(key)

    def learn(self, read: Sequence[Tensor]) -> None:
        """Keep in mind, for solves to come, what ``f`` was seen to read in this one.

        Parameters
        ----------
        read : sequence of Tensor
            What a gradient would flow to.
        """
        if self._first is None:
            return
        (entry, inputs), self._first = self._first, None
        places = {id(x): place for place, x in enumerate(inputs)}
        if all(id(tensor) in places for tensor in read):
            entry.reads = tuple(places[id(tensor)] for tensor in read)

    def take_read(self) -> list[Tensor]:
        """Return what gets a gradient of that which the graph is known to have read."""
        first, self._first = self._first, None
        if first is None or first[0].reads is None:
            return []
        return [first[1][place] for place in first[0].reads]

    def call(self, asked: Asked) -> Sequence[Any] | None:
        """Call a compiled function; None, after a warning, if it cannot be compiled.

        Guards are checked by the first call of a solve. They hold for the others: a graph has no
        side effects, and ``f`` sees nobody else meanwhile.
        """
        shortcut = self._shortcuts.get(asked.key)
        if shortcut is None:
            shortcut, result = self.prepare(asked)
            if shortcut is None or result is not None:
                return result
        return shortcut(asked.changing)

    def prepare(self, asked: Asked) -> tuple[Shortcut | None, Sequence[Any] | None]:
        """Have guards checked.

        Returns
        -------
        Shortcut or None
            The way around them, from now on; None where there is none.
        sequence or None
            What a call returns, if that was needed to find out: a known graph is not called.
        """
        is_too_large = bool(self.graphs.too_large) and _form(asked) in self.graphs.too_large
        if not self.are_on or is_watched() or is_too_large:
            return None, None
        are_given = tuple(x is not None for x in asked.changing)
        if self.follow(asked.key, are_given, asked.fixed):
            return self._shortcuts[asked.key], None
        self.graphs.allow(asked.most_leaves, asked.most_bytes)
        entry, called, result = self._call_by_guards(asked)
        self._enter(asked, entry, called)
        return self._shortcuts.get(asked.key), result

    def follow(self, key: Any, are_given: tuple[bool, ...], fixed: Sequence[Any]) -> bool:
        """Return whether there is a way around guards that a step's in this solve answer, too.

        Parameters
        ----------
        key : object
        are_given : tuple of bool
            Of what changes from call to call, whether it is a tensor or None.
        fixed : sequence
            As for `Asked`.
        """
        if self._step is None or not self.are_on or is_watched():
            return False
        step, inputs = self._step
        follower = step.followers.get((key, are_given))
        called = None if follower is None else follower.called(inputs, fixed)
        if follower is None or called is None or follower.entry.form is None:
            return False
        self._shortcuts[key] = Shortcut(called, follower.entry.form)
        return True

    def _enter(self, asked: Asked, entry: Entry | None, called: Called | None) -> None:
        """Keep the way around guards that were asked, and what may go the same way."""
        if entry is None or called is None:
            return
        if asked.key == self._own:
            self._first, y = (entry, called.inputs), asked.changing[0]
            is_small = y is not None and y.nbytes <= MOST_LIGHT_BYTES
            self._step = self._first if is_small else None
        if entry.form is None or not self.is_alone:
            return
        step, following = self._step, (asked.key, tuple(x is not None for x in asked.changing))
        if step is not None and entry is not step[0] and following not in step[0].followers:
            found = Follower.of(step, entry, called, asked.fixed, asked.changing)
            step[0].followers[following] = found
        shortcut = self._shortcuts[asked.key] = Shortcut(called, entry.form)
        self.is_light |= asked.key == self._own and shortcut.is_light

    def _call_by_guards(
        self, asked: Asked
    ) -> tuple[Entry | None, Called | None, Sequence[Any] | None]:
        """Return what was compiled, its call, and what it returns unless it was known before."""
        graphs = self.graphs
        function = graphs.function(asked.key, asked.make)
        args = self._arguments(asked.fixed, asked.changing)
        try:
            with self.unwatched():
                entry = self._take_foreseen(asked.key) or function.find(args)
                if entry is not None and entry.form is not None and self.is_alone:
                    return entry, graphs.gather(entry.function, args), None
                result = function(*args) if entry is None else entry.function(*args)
                entry, called = entry or function.find(args), graphs.take_called()
        except torch._dynamo.exc.TorchDynamoException as error:
            if isinstance(getattr(error, "inner_exception", None), TooLargeError):
                graphs.too_large.add(_form(asked))
            else:
                self.give_up(f"f cannot be compiled ({_first_words(error)})")
            return None, None, None
        except torch._dynamo.exc.FailOnRecompileLimitHit:
            limit = torch._dynamo.config.recompile_limit
            self.give_up(
                f"f was compiled for {limit} shapes or values of what it reads, and is met with "
                f"another: see torch._dynamo.config.recompile_limit",
                forever=False,
            )
            return None, None, None
        if entry is not None and called is not None and entry.form is None:
            entry.form = form_of(called, asked.changing, result)
        return entry, called, result

    def _take_foreseen(self, key: Any) -> Entry | None:
        """Return what the solve's own guards were asked for already, once."""
        if key != self._own:
            return None
        found, self._foreseen = self._foreseen, None
        return found

    def guarded(
        self, function: Traced, fixed: Sequence[Any], changing: Sequence[Tensor | None]
    ) -> Sequence[Any]:
        """Call a compiled function, by its guards, with what `Asked` describes."""
        with self.unwatched():
            result: Sequence[Any] = function(*self._arguments(fixed, changing))
        return result

    def _arguments(
        self, fixed: Sequence[Any], changing: Sequence[Tensor | None]
    ) -> tuple[Any, ...]:
        field = self._field
        return (field.func, field.packing, field.args, *fixed, *changing)

    def lean(
        self, key: Any, wanted: Sequence[int], in_workspace: Container[int] = ()
    ) -> Shortcut | None:
        """Return how to call a function again in this solve, for some of its results.

        Parameters
        ----------
        key : object
        wanted, in_workspace : see `Shortcut.lean`

        Returns
        -------
        Shortcut or None
            None if its guards were not checked yet, or every operation is to be seen.
        """
        shortcut = None if is_watched() else self._shortcuts.get(key)
        if shortcut is None:
            return None
        self._lean.append(shortcut.lean(wanted, in_workspace))
        return self._lean[-1]

    def forget(self) -> None:
        """Let go of what belongs to a solve: guards are checked again by the next call."""
        self.unwatched = nullcontext
        for shortcut in (*self._shortcuts.values(), *self._lean):
            shortcut.let_go()
        self._shortcuts.clear()
        self._lean.clear()
        self._foreseen = None


def is_watched() -> bool:
    """Whether every operation is to be seen: by a transform, or a `TorchDispatchMode`."""
    return is_transformed() or torch._C._len_torch_dispatch_stack() > 0


def _form(asked: Asked) -> Any:
    """Return what a call that is too large is known by."""
    return (asked.key, *(None if x is None else (x.shape, x.dtype) for x in asked.changing))


def _first_words(error: Exception) -> str:
    """Return the first line of a message that says something, and its explanation, if any."""
    cause = getattr(error, "inner_exception", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    words = lines[:1] or [type(cause).__name__]
    mark = "Explanation: "
    return ": ".join(words + [line.removeprefix(mark) for line in lines if line.startswith(mark)])
