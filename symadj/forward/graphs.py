"""Functions compiled once for each ``f``: found again, called without delay, and let go with it.

What ``f`` reads beside its arguments is watched by the guards of ``torch.compile``: parameters are
read where they live, and Python values that change make another graph. To check the guards takes
longer than a small network; but a graph without side effects leaves them as they were, so that
within one solve the graph itself can be called (`Shortcut`).
"""

import functools
import threading
import types
import weakref
from collections.abc import Callable, Container, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.weak import WeakIdKeyDictionary

from symadj.forward.guards import Form, GuardedFunction
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
        Empty where the graph was not called.
    tape : Tape or None
        What makes the outputs, where a tape does; the inputs are in their places.
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


def form_of(
    called: Called, changing: Sequence[Tensor | None], result: Sequence[Any]
) -> Form | None:
    """Read a form off a call; None if a tensor is there twice, unheard of or not plain."""
    given = {id(x): place for place, x in enumerate(called.inputs)}
    made = {id(x): place for place, x in enumerate(called.outputs)}
    tensors = [id(x) for x in changing if x is not None]
    if len(given) < len(called.inputs) or len(set(tensors)) < len(tensors):
        return None
    if any(isinstance(x, Tensor) and id(x) not in made for x in result):
        return None
    # Such as a slope that is on its way between processes: later calls are given plain ones, whose
    # numbers lie one after the other.
    if not all(x is None or (type(x) is Tensor and x.is_contiguous()) for x in changing):
        return None
    return Form(
        tuple(
            (place, given[id(x)])
            for place, x in enumerate(changing)
            if x is not None and id(x) in given
        ),
        tuple((made[id(x)], None) if isinstance(x, Tensor) else (-1, x) for x in result),
    )


class Shortcut(NamedTuple):
    """A graph, and how to call it without the guards.

    Attributes
    ----------
    graph : callable
        Takes a list of inputs, and may empty it.
    inputs : list
        What it was called with, but for what changes from call to call.
    places, outputs
        See `Form`.
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
    def of(called: Called, form: Form) -> "Shortcut":
        """Make it of a call, or of what a call would have been."""
        inputs = list(called.inputs)
        for _, place in form.places:
            inputs[place] = None
        return Shortcut(called.graph, inputs, *form, called.inner, called.tape)

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
        fresh = {self.outputs[place][0] for place in wanted if place not in in_workspace}
        tape = self.inner.borrow(frozenset(fresh - {-1}))
        if tape is not None:
            for place, x in enumerate(self.inputs):
                tape.put(place, x)
        return self._replace(outputs=outputs, tape=tape)

    def let_go(self) -> None:
        """Give back what is borrowed: the shortcut is not to be called any more."""
        if self.inner is not None and self.tape is not None:
            self.inner.give_back(self.tape)


class _Latest(threading.local):
    """What one thread has called.

    Attributes
    ----------
    called : Called or None
    is_gathered : bool
        Whether calls are noted, and not made.
    """

    called: Called | None = None
    is_gathered: bool = False


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
        self._latest = _Latest()
        self.most_leaves: int | None = None
        self.most_bytes: int | None = None
        self.too_large: set[Any] = set()

    def allow(self, most_leaves: int | None, most_bytes: int | None) -> None:
        """Set what graphs to come may read and compute."""
        self.most_leaves, self.most_bytes, self._latest.called = most_leaves, most_bytes, None

    def take_called(self) -> Called | None:
        """Return this thread's latest call of a graph, and forget it."""
        called, self._latest.called = self._latest.called, None
        return called

    def gather(self, function: Traced, args: Sequence[Any]) -> Called | None:
        """Return what a call of a compiled function would be; its graph is not called."""
        self._latest.is_gathered = True
        try:
            function(*args)
        finally:
            self._latest.is_gathered = False
        return self.take_called()

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

        results: Any = traced.graph.output_node().args[0]
        nothing = (None,) * len(results)

        def call(*given: Any) -> Any:
            if self._latest.is_gathered:
                self._latest.called = _gathered(graph, inner, given)
                return nothing
            called = None if inner is None else inner.call(given)
            if inner is not None and called is not None:
                inputs, outputs, tape = called
                self._latest.called = Called(inner.function, inner, inputs, outputs, tape)
                return outputs
            outputs = graph(*given) if inner is None else inner.learn(graph, given)
            gathered = _gathered(graph, inner, given)
            self._latest.called = gathered._replace(outputs=outputs)
            return outputs

        return call


def _gathered(graph: Callable[..., Any], inner: Inner | None, given: tuple[Any, ...]) -> Called:
    """Return the call of a graph without its outputs."""
    inputs = None if inner is None else inner.inputs_of(given)
    if inner is None or inputs is None:
        return Called(lambda inputs: graph(*inputs), None, given, (), None)
    return Called(inner.function, inner, inputs, (), inner.borrow_with(inputs))


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
