"""Functions compiled once for each ``f``: found again, called without delay, and let go with it.

What ``f`` reads beside its arguments is watched by the guards of ``torch.compile``: parameters are
read where they live, and Python values that change make another graph. To check the guards takes
longer than a small network; but a graph without side effects leaves them as they were, so that
within one solve the graph itself can be called (`Shortcut`).
"""

import functools
import types
import weakref
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.weak import WeakIdKeyDictionary

from symadj.forward.guards import GuardedFunction
from symadj.forward.inductor import Inner, compile_by_inductor
from symadj.forward.tape import Tape
from symadj.forward.traced import Traced


class UnknownLeafError(RuntimeError):
    """A graph reads a tensor that would get no gradient."""


class TooLargeError(RuntimeError):
    """What a graph computes is more than it may keep at once."""


class Called(NamedTuple):
    """The latest call of a graph.

    Attributes
    ----------
    graph : callable
        Takes a list of inputs, and may empty it.
    inner : Inner or None
        The compiler's function, where that is what was called.
    inputs : tuple
    outputs : sequence
    tape : Tape or None
        What made the outputs, where a tape did; the inputs are in their places.
    """

    graph: Callable[[list[Any]], Sequence[Any]]
    inner: Inner | None
    inputs: tuple[Any, ...]
    outputs: Sequence[Any]
    tape: Tape | None

    def give_back(self) -> None:
        """Give the tape back, for others to use."""
        if self.inner is not None and self.tape is not None:
            self.inner.give_back(self.tape)


class Shortcut(NamedTuple):
    """A graph, and how to call it without the guards.

    Attributes
    ----------
    graph : callable
        Takes a list of inputs, and may empty it.
    inputs : list
        What it was called with, but for what changes from call to call.
    places : tuple of (int, int)
        Which of the arguments that change goes to which input.
    outputs : tuple of (int, object)
        For each thing returned, which output of the graph it is, or -1 and itself.
    inner : Inner or None
        The compiler's function, where the graph is one.
    tape : Tape or None
        That function replayed, where it is small: lent by it.
    """

    graph: Callable[[list[Any]], Sequence[Any]]
    inputs: list[Any]
    places: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, Any], ...]
    inner: Inner | None
    tape: Tape | None

    @staticmethod
    def of(
        called: Called, changing: Sequence[Tensor | None], result: Sequence[Any]
    ) -> "Shortcut | None":
        """Read it off a call with guards; None if one is there twice, unheard of or not plain."""
        given = {id(x): place for place, x in enumerate(called.inputs)}
        made = {id(x): place for place, x in enumerate(called.outputs)}
        tensors = [id(x) for x in changing if x is not None]
        if len(given) < len(called.inputs) or len(set(tensors)) < len(tensors):
            return None
        if any(isinstance(x, Tensor) and id(x) not in made for x in result):
            return None
        # Such as a slope that is on its way between processes: later calls are given plain ones,
        # whose numbers lie one after the other.
        if not all(x is None or (type(x) is Tensor and x.is_contiguous()) for x in changing):
            return None
        places = tuple(
            (place, given[id(x)])
            for place, x in enumerate(changing)
            if x is not None and id(x) in given
        )
        inputs = list(called.inputs)
        for _, place in places:
            inputs[place] = None
        outputs = tuple((made[id(x)], None) if isinstance(x, Tensor) else (-1, x) for x in result)
        return Shortcut(called.graph, inputs, places, outputs, called.inner, called.tape)

    def __call__(self, changing: Sequence[Tensor | None]) -> list[Any]:
        """Call the graph."""
        tape = self.tape
        if tape is None:
            inputs = self.inputs.copy()
            for place, target in self.places:
                inputs[target] = changing[place]
            made = self.graph(inputs)
        else:
            for place, target in self.places:
                tape.put(target, changing[place])
            made = tape.run()
        return [x if place < 0 else made[place] for place, x in self.outputs]

    def lean(self, wanted: Sequence[int], in_workspace: Container[int]) -> "Shortcut":
        """Return the same with fewer results.

        Parameters
        ----------
        wanted : sequence of int
            Which of the results are returned.
        in_workspace : container of int
            Those of them that are read before the next call, and need no memory of their own.
        """
        outputs = tuple(self.outputs[place] for place in wanted)
        if self.tape is None or self.inner is None:
            return self._replace(outputs=outputs)
        fresh = [self.outputs[place][0] for place in wanted if place not in in_workspace]
        tape = self.inner.borrow(frozenset(fresh))
        if tape is not None:
            for place, x in enumerate(self.inputs):
                tape.put(place, x)
        return self._replace(outputs=outputs, tape=tape)

    def let_go(self) -> None:
        """Give back what is borrowed: the shortcut is not to be called any more."""
        if self.inner is not None and self.tape is not None:
            self.inner.give_back(self.tape)


class Graphs:
    """The compiled functions of one ``f``.

    Attributes
    ----------
    backend : str
    functions : dict
        Each under the key by which it is asked for.
    failure : str or None
        Why ``f`` is not compiled: it is said once.
    num_graphs : int
        How many were made so far.
    called : Called or None
        The latest call with guards.
    most_leaves : int or None
        How many tensors that require a gradient a new graph may read.
    most_bytes : int or None
        How much a new graph may compute, all its intermediate results taken together.
    too_large : set
        Calls that would have needed a graph of more.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.functions: dict[Any, GuardedFunction] = {}
        self.failure: str | None = None
        self.num_graphs = 0
        self.called: Called | None = None
        self.most_leaves: int | None = None
        self.most_bytes: int | None = None
        self.too_large: set[Any] = set()

    def allow(self, most_leaves: int | None, most_bytes: int | None) -> None:
        """Set what graphs to come may read and compute."""
        self.most_leaves, self.most_bytes, self.called = most_leaves, most_bytes, None

    def take_called(self) -> Called | None:
        """Return the latest call with guards, and forget it."""
        called, self.called = self.called, None
        return called

    def function(self, key: Any, make: Callable[[], Traced]) -> GuardedFunction:
        """Return a compiled function, made when it is asked for first."""
        if key not in self.functions:
            self.functions[key] = GuardedFunction(make(), self._make_graph)
        return self.functions[key]

    def _make_graph(self, traced: torch.fx.GraphModule, inputs: list[Any]) -> Traced:
        num_leaves = sum(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        if self.most_leaves is not None and num_leaves > self.most_leaves:
            raise UnknownLeafError("f reads a tensor that it did not read at first")
        if self.most_bytes is not None and _computed_bytes(traced) > self.most_bytes:
            raise TooLargeError
        self.num_graphs += 1
        inner: Inner | None = None
        if self.backend == "inductor":
            graph, inner = compile_by_inductor(traced, inputs)
        else:
            graph = torch._dynamo.lookup_backend(self.backend)(traced, inputs)

        def call(*given: Any) -> Any:
            called = None if inner is None else inner.call(given)
            if inner is not None and called is not None:
                inputs, outputs, tape = called
                self.called = Called(inner.function, inner, inputs, outputs, tape)
                return outputs
            outputs = graph(*given) if inner is None else inner.learn(graph, given)
            self.called = Called(lambda inputs: graph(*inputs), None, given, outputs, None)
            return outputs

        return call


def _computed_bytes(traced: torch.fx.GraphModule) -> int:
    """Return the size of all that a graph computes, views among it."""
    values = [
        node.meta.get("example_value") for node in traced.graph.nodes if node.op != "placeholder"
    ]
    return sum(x.nbytes for x in pytree.tree_leaves(values) if isinstance(x, Tensor))


_known: Any = WeakIdKeyDictionary()


def graphs_of(func: Any, backend: str) -> Graphs:
    """Return what was compiled for ``f``, or a place for it.

    It is kept for as long as ``f`` lives; for a function, as its code does, so that a lambda made
    anew for each call is compiled once.
    """
    owner = func
    while isinstance(owner, functools.partial):
        owner = owner.func
    if isinstance(owner, types.MethodType):
        owner = owner.__self__
    owner = getattr(owner, "__code__", owner)
    try:
        weakref.ref(owner)
    except TypeError:
        return Graphs(backend)  # compiled for each call
    found: dict[str, Graphs] = _known.setdefault(owner, {})
    if backend not in found:
        found[backend] = Graphs(backend)
    return found[backend]
