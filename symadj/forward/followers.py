"""Graphs of a backward pass that need no guards of their own: those of the solve's steps tell all.

A step's guards are asked when a solve is made. What transposes the step reads the same ``f``, so
its own guards, asked during the backward pass, mostly ask again what was told then. Where they ask
nothing else, and all that the graph reads is at hand, it is called for ``f`` as the solve found it,
whatever has become of ``f`` since.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from symadj.forward.graphs import Called
from symadj.forward.guards import Entry

GUARD = re.compile(r"^[| ]*\+- \w+: (.*?)(?:  # .*)?$")
"""A line of what a guard manager prints: a guard, and why it is there."""

GIVEN = re.compile(r"\bL\['(\w+)'\]")
GLOBAL = re.compile(r"\bG\['(\w+)'\]")

TORCH_IS_TORCH = re.compile(r"(?:G\['\w+'\]\.torch|G\['torch'\])(?: is |$)" * 2)
"""That modules mean the same by ``torch``."""

NO_ALIAS = "check_no_aliasing("

OF_F = frozenset({"func", "packing", "args"})
"""Arguments of traced functions that are the caller's; the others are symadj's own."""

OTHERS = "__import_"
"""How globals of other modules are called; the others are those of the traced function's own."""

OWN = (f"{OTHERS}symadj_dot_", f"{OTHERS}torch_dot_", "__builtins_dict__")
"""Of those, what is nobody's to change."""


class Follower(NamedTuple):
    """A graph, and where what it reads comes from.

    Attributes
    ----------
    entry : Entry
    call : Called
        How it is called, without inputs.
    sources : tuple of (bool, int), or None
        For each input whether it is one of the step's, or of what the function is given, and which
        of them; None for what changes from call to call.
    shared : tuple of int
        Of what the function is given, which of the step's inputs it is; -1 for none.
    """

    entry: Entry
    call: Called
    sources: tuple[tuple[bool, int] | None, ...]
    shared: tuple[int, ...]

    @staticmethod
    def of(
        step: tuple[Entry, Sequence[Any]],
        entry: Entry,
        called: Called,
        fixed: Sequence[Any],
        changing: Sequence[Tensor | None],
    ) -> "Follower | None":
        """Return it for a graph whose guards were asked after a step's, or None.

        Parameters
        ----------
        step : tuple of Entry and sequence
            What was compiled for a step of the solve, and the inputs of its graph.
        entry : Entry
        called : Called
            The graph's call.
        fixed : sequence
            What it was given beside that, and is the same throughout a solve.
        changing : sequence of Tensor or None
            What changes from call to call.
        """
        known: dict[int, tuple[bool, int] | None] = {id(x): None for x in changing if x is not None}
        for is_of_step, tensors in ((True, step[1]), (False, _flat(fixed))):
            for place, x in enumerate(tensors):
                known.setdefault(id(x), (is_of_step, place))
        if not all(id(x) in known for x in called.inputs) or not _asks_no_more(entry, step[0]):
            return None
        sources = tuple(known[id(x)] for x in called.inputs)
        call = called._replace(inputs=(), outputs=())
        return Follower(entry, call, sources, _shared(step[1], _flat(fixed)))

    def called(self, step: Sequence[Any], fixed: Sequence[Any]) -> Called | None:
        """Return the graph's call; None if it is given other tensors than once before.

        Parameters
        ----------
        step : sequence
            Inputs of the step's graph.
        fixed : sequence
            As for `of`.
        """
        given, known = _flat(fixed), {id(x) for x in step}
        for x, place in zip(given, self.shared, strict=False):
            if (step[place] is not x) if place >= 0 else (id(x) in known):
                return None
        if len(given) != len(self.shared):
            return None
        inputs = (None if x is None else (step if x[0] else given)[x[1]] for x in self.sources)
        return self.call._replace(inputs=tuple(inputs))


def _flat(fixed: Sequence[Any]) -> list[Any]:
    return [x for part in fixed for x in (part if isinstance(part, tuple | list) else (part,))]


def _shared(step: Sequence[Any], given: Sequence[Any]) -> tuple[int, ...]:
    places = {id(x): place for place, x in enumerate(step)}
    return tuple(places.get(id(x), -1) for x in given)


def _asks_no_more(entry: Entry, step: Entry) -> bool:
    """Whether guards ask nothing of ``f`` that others have not."""
    told = set(_guards(step))
    asked = list(_guards(entry))
    return bool(told) and bool(asked) and all(x in told or _is_own(x) for x in asked)


def _guards(entry: Entry) -> Iterator[str]:
    for line in str(entry.guards).splitlines():
        found = GUARD.match(line)
        if found is not None and found[1].startswith(NO_ALIAS):
            yield from found[1][len(NO_ALIAS) : -1].split(", ")  # it is asked of each of them
        elif found is not None and not found[1].startswith("source="):
            yield found[1]


def _is_own(guard: str) -> bool:
    """Whether a guard asks for symadj's own arguments, or what surrounds a call."""
    if TORCH_IS_TORCH.match(guard):
        return True
    given = set(GIVEN.findall(guard))
    # That a parameter is the one that f holds is true of those that a step has read.
    if given & OF_F and "params" not in given:
        return False
    return all(x.startswith(OWN) or not x.startswith(OTHERS) for x in GLOBAL.findall(guard))
