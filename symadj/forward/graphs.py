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

from symadj.errors import UnsupportedError
from symadj.forward.guards import Form, GuardedFunction, Part
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
        The compiler's function, where that is what is called.
    inputs : tuple
    outputs : sequence
        Empty where the graph was not called.
    """

    graph: Callable[[list[Any]], Sequence[Any]]
    inner: Inner | None
    inputs: tuple[Any, ...]
    outputs: Sequence[Any]


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


class Shortcut:
    """A graph, and how to call it without the guards.

    Parameters
    ----------
    called : Called
        What it was called with, or would have been.
    form : Form
    part : Part, optional
        Which of its results are returned: all of them, unless given.

    Attributes
    ----------
    places, outputs
        See `Form`; of the outputs those wanted.
    """

    __slots__ = ("_called", "_form", "_fresh", "_tape", "outputs", "places")

    def __init__(
        self,
        called: Called,
        form: Form,
        part: Part | None = None,
    ) -> None:
        self._called, self._form, self.places = called, form, form.places
        self.outputs = form.outputs if part is None else part.outputs
        self._fresh = None if part is None else part.fresh
        self._tape: Tape | None = None

    @property
    def is_light(self) -> bool:
        """Whether it calls small kernels of the compiler's alone, and edits no input."""
        return self._called.inner is not None and self._called.inner.is_light

    @property
    def tape(self) -> Tape | None:
        """The compiler's function replayed, where it is small: borrowed, with inputs in place."""
        if self._tape is None and self._called.inner is not None:
            self._tape = self._called.inner.borrow(self._fresh)
            if self._tape is not None:
                changing = {place for _, place in self.places}
                for place, x in enumerate(self._called.inputs):
                    if place not in changing:
                        self._tape.put(place, x)
        return self._tape

    def __call__(self, changing: Sequence[Tensor | None]) -> list[Any]:
        """Call the graph."""
        tape = self.tape
        if tape is None:
            inputs = list(self._called.inputs)
            for place, target in self.places:
                inputs[target] = changing[place]
            made = self._called.graph(inputs)
        else:
            for place, target in self.places:
                tape.put(target, changing[place])
            made = tape.run()
        return [x if place < 0 else made[place] for place, x in self.outputs]

    def lean(self, wanted: Sequence[int], in_workspace: Container[int]) -> "Shortcut":
        """Return the same with fewer results."""
        return Shortcut(self._called, self._form, self._form.part(wanted, in_workspace))

    def let_go(self) -> None:
        """Give back what is borrowed: the shortcut is not to be called any more."""
        if self._called.inner is not None and self._tape is not None:
            self._called.inner.give_back(self._tape)
            self._tape = None


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
    solves : dict
        How solves are made again that C++ has made (see `symadj.repeat`).

    Raises
    ------
    UnsupportedError
        If torch's compiler is too old to trace a step.
    """

    def __init__(self, backend: str) -> None:
        if not hasattr(torch._dynamo.config, "side_effect_replay_policy"):
            raise UnsupportedError(
                f"options['compile'] needs torch 2.13 or later, and this is {torch.__version__}: "
                f"leave it out."
            )
        self.backend = backend
        self.functions: dict[Any, GuardedFunction] = {}
        self.failure: str | None = None
        self.num_graphs = 0
        self._latest = _Latest()
        self.most_leaves: int | None = None
        self.most_bytes: int | None = None
        self.too_large: set[Any] = set()
        self.solves: dict[Any, Any] = {}

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
                self._latest.called = _called(graph, inner, given, ())
                return nothing
            outputs = graph(*given) if inner is None else inner.call(graph, given)
            self._latest.called = _called(graph, inner, given, outputs)
            return outputs

        return call


def _called(
    graph: Callable[..., Any], inner: Inner | None, given: tuple[Any, ...], outputs: Sequence[Any]
) -> Called:
    """Return the call of a graph."""
    inputs = None if inner is None else inner.inputs_of(given)
    if inner is None or inputs is None:
        return Called(lambda inputs: graph(*inputs), None, given, outputs)
    return Called(inner.function, inner, inputs, outputs)


def _computed_bytes(traced: torch.fx.GraphModule) -> int:
    """Return the size of all that a graph computes, views among it."""
    values = [
        node.meta.get("example_value") for node in traced.graph.nodes if node.op != "placeholder"
    ]
    return sum(x.nbytes for x in pytree.tree_leaves(values) if isinstance(x, Tensor))


_known: dict[int, tuple[Any, dict[str, Graphs]]] = {}
"""By the ``id`` of what they were compiled for, and a reference that dies with it."""


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
    if not isinstance(owner, torch.nn.Module):  # whose attributes are long in the finding
        owner = getattr(owner, "__code__", owner)
    key = id(owner)
    place = _known.get(key)
    if place is None:
        try:
            place = weakref.ref(owner, lambda _: _known.pop(key, None)), {}
        except TypeError:
            return Graphs(backend)  # compiled for each call
        _known[key] = place
    found = place[1]
    if backend not in found:
        found[backend] = Graphs(backend)
    return found[backend]
