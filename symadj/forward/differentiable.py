"""A step as one compiled graph that keeps what its transpose needs, and that transpose as another.

It is what ``torch.compile`` makes of a function that is differentiated, without what lies around
it: both graphs are called directly, and what is kept is a list. So activations are kept as
backpropagation keeps them, and the backward pass evaluates nothing again.
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule

from symadj.forward.calls import is_watched
from symadj.forward.compiled import CompiledSteps, Taken
from symadj.forward.controller import ErrorControl
from symadj.forward.graphs import Graphs
from symadj.forward.grouping import group_products
from symadj.forward.guards import GuardedFunction
from symadj.forward.inductor import decompositions
from symadj.forward.slopes import SlopeList
from symadj.forward.solve import Integration
from symadj.forward.traced import Traced, step_function
from symadj.forward.trajectory import Stretch

BACKENDS = frozenset({"inductor", "eager", "aot_eager"})
"""Of those of ``torch.compile``, the ones of which it is known what they make of two graphs."""


class UnfitError(RuntimeError):
    """There are no two such graphs of a step."""


class Pair(NamedTuple):
    """The two graphs of a step.

    Attributes
    ----------
    forward : callable
        Takes a list of inputs, which it may empty; returns outputs, then what is kept.
    backward : callable
        Takes a list: what was kept, then the cotangents of those outputs that have some; returns
        the gradient of each input, None where it has none.
    num_outputs : int
    has_cotangent : tuple of bool
        Which of the outputs have one.
    """

    forward: Callable[[list[Any]], Sequence[Any]]
    backward: Callable[[list[Any]], Sequence[Tensor | None]]
    num_outputs: int
    has_cotangent: tuple[bool, ...]


class Kept(NamedTuple):
    """What a step has left for its transpose.

    Attributes
    ----------
    way : Way
    tensors : list of Tensor
    """

    way: "Way"
    tensors: list[Any]


class Way(NamedTuple):
    """How to take a step, once guards were checked, and how to transpose it.

    Attributes
    ----------
    pair : Pair
    inputs : list
        What the graph was called with, but for what changes from step to step.
    places : tuple of int
        Which inputs are state, span and first slope; -1 for one that is not read.
    outputs : tuple of int
        Which outputs are the end state, the ratio (-1 for none) and the slopes.
    versions : tuple of int
        How often each input had been edited when guards were checked.
    """

    pair: Pair
    inputs: list[Any]
    places: tuple[int, ...]
    outputs: tuple[int, ...]
    versions: tuple[int, ...]

    def check(self) -> None:
        """Raise, as autograd does, if what was kept has been edited since."""
        for x, version in zip(self.inputs, self.versions, strict=True):
            if isinstance(x, Tensor) and x._version != version:
                raise RuntimeError(
                    f"A tensor of shape {tuple(x.shape)} that f reads has been modified by an "
                    f"inplace operation since the solve: it is at version {x._version}, expected "
                    f"version {version}. Edit it after the backward pass."
                )

    def take(self, changing: Sequence[Tensor | None]) -> tuple[list[Any], Kept]:
        """Take a step; return what `step_function` does, and what is kept of it."""
        inputs = self.inputs.copy()
        for place, x in zip(self.places, changing, strict=True):
            if place >= 0:
                inputs[place] = x
        made = self.pair.forward(inputs)
        kept = Kept(self, list(made[self.pair.num_outputs :]))
        return [made[place] if place >= 0 else None for place in self.outputs], kept

    def transpose(
        self, tensors: list[Any], cotangents: Sequence[Tensor | None]
    ) -> tuple[Tensor | None, Tensor | None, Sequence[Tensor | None]]:
        """Pull cotangents of end state and slopes back.

        Parameters
        ----------
        tensors : list of Tensor
            What was kept; emptied.
        cotangents : sequence of Tensor
            In the order of `outputs`, None for the ratio's.

        Returns
        -------
        tuple
            Gradients of the state, of the first slope, and of every input.
        """
        by_output: dict[int, Tensor | None] = dict(zip(self.outputs, cotangents, strict=True))
        given = [by_output[i] for i, has in enumerate(self.pair.has_cotangent) if has]
        tensors.extend(given)
        gradients = self.pair.backward(tensors)
        y, _, first = self.places
        return (
            gradients[y] if y >= 0 else None,
            gradients[first] if first >= 0 else None,
            gradients,
        )


class Called(NamedTuple):
    """The latest call of a graph that keeps what its transpose needs.

    Attributes
    ----------
    pair : Pair
    inputs : tuple
    outputs : sequence
    tensors : list
        What is kept.
    """

    pair: Pair
    inputs: tuple[Any, ...]
    outputs: Sequence[Any]
    tensors: list[Any]


class PairedGraphs:
    """The pairs of graphs of one ``f``, for as long as it lives.

    Attributes
    ----------
    is_unfit : bool
        Whether there are none.
    """

    def __init__(self, backend: str) -> None:
        self._compiler = _compiled if backend == "inductor" else _interpreted
        self._functions: dict[Any, Traced] = {}
        self._called: Called | None = None
        self.is_unfit = False

    def take_called(self) -> "Called | None":
        """Return the latest call with guards, and forget it."""
        called, self._called = self._called, None
        return called

    def function(self, key: Any, make: Callable[[], Traced]) -> Traced:
        """Return a compiled function, made when it is asked for first."""
        if key not in self._functions:
            self._functions[key] = GuardedFunction(make(), self._make)
        return self._functions[key]

    def _make(self, traced: GraphModule, inputs: list[Any]) -> Traced:
        pair = compile_pair(traced, inputs, self._compiler)

        def call(*given: Any) -> Any:
            with torch.no_grad():
                made = pair.forward([_cut(x) for x in given])
            outputs = made[: pair.num_outputs]
            self._called = Called(pair, given, outputs, list(made[pair.num_outputs :]))
            return outputs

        return call


_PAIRS: "weakref.WeakKeyDictionary[Graphs, PairedGraphs]" = weakref.WeakKeyDictionary()


class DifferentiableSteps:
    """The steps of one solve, each of which keeps what its transpose needs.

    Parameters
    ----------
    steps : CompiledSteps
        Of which it takes all else.

    Attributes
    ----------
    is_on : bool
        Whether steps are taken in this way.
    """

    def __init__(self, steps: CompiledSteps, graphs: "PairedGraphs") -> None:
        self._steps, self._graphs = steps, graphs
        self.is_on = not graphs.is_unfit
        self._kept: Kept | None = None
        self._way: Way | None = None

    @staticmethod
    def of(ivp: Integration) -> "DifferentiableSteps | None":
        """Return those of a solve, or None where its steps do not hang together by graphs alone."""
        steps, control = ivp.compiled, ivp.step_sizes
        if steps is None or not steps.calls.is_alone or steps.calls.graphs.backend not in BACKENDS:
            return None
        if isinstance(control, ErrorControl) and (control.jumps or not ivp.tableau.is_fsal):
            return None
        if steps.calls.graphs not in _PAIRS:
            _PAIRS[steps.calls.graphs] = PairedGraphs(steps.calls.graphs.backend)
        return DifferentiableSteps(steps, _PAIRS[steps.calls.graphs])

    def take(self) -> Kept | None:
        """Return what the latest step has left, and forget it."""
        kept, self._kept = self._kept, None
        return kept

    def attempt(self, slopes: SlopeList, y: Tensor, stretch: Stretch) -> Taken | None:
        """Take a step as `CompiledSteps.attempt` does; None if there is no such pair of graphs."""
        steps = self._steps
        if not steps.calls.are_on or is_watched():
            self.is_on = False
            return None
        first = None if steps.makes_first else slopes.k[0]
        changing = (y, steps.span_of(stretch, y), first)
        result = self._first(changing) if self._way is None else None
        if result is None and self._way is not None:
            result, self._kept = self._way.take(changing)
        if result is None:
            self.is_on = False
            return None
        y1, ratio, *made = result
        start = 0 if steps.makes_first else 1
        slopes.k[start : start + len(made)] = made
        steps.field.nfe += len(made)
        return Taken([y], y1, steps.ratio_of(ratio))

    def _first(self, changing: tuple[Tensor, Tensor, Tensor | None]) -> list[Any] | None:
        """Take the first step, by which guards are checked."""
        steps, graphs = self._steps, self._graphs
        y, span, first = changing
        leaves = (y.detach().requires_grad_(), span, None if first is None else _leaf(first))
        make = functools.partial(
            step_function, steps.method, makes_first=steps.makes_first, is_differentiated=True
        )
        key = (steps.name, steps.makes_first, steps.fixed[-1] is not None)
        graphs.take_called()
        try:
            with torch.enable_grad():
                result = steps.calls.guarded(graphs.function(key, make), steps.fixed, leaves)
        except (
            Exception
        ):  # whatever the compiler meets: there is another way, which says what it is
            graphs.is_unfit = True
            return None
        called = graphs.take_called()
        if called is None:
            return None
        pair, given, outputs, tensors = called
        inputs_at = {id(x): place for place, x in enumerate(given)}
        outputs_at = {id(x): place for place, x in enumerate(outputs)}
        places = tuple(inputs_at.get(id(x), -1) for x in leaves)
        ends = tuple(-1 if x is None else outputs_at.get(id(x), -2) for x in result)
        if -2 in ends or len(set(ends)) < len(ends) or len(inputs_at) < len(given):
            graphs.is_unfit = True
            return None
        own = {id(x) for x in leaves}
        inputs = [None if id(x) in own else x for x in given]
        versions = tuple(x._version if isinstance(x, Tensor) else 0 for x in inputs)
        self._way = Way(pair, inputs, places, ends, versions)
        self._kept = Kept(self._way, tensors)
        return list(result)


def _cut(x: Any) -> Any:
    return x.detach() if isinstance(x, Tensor) and x.requires_grad else x


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def compile_pair(
    traced: GraphModule, inputs: Sequence[Any], compiler: Callable[[GraphModule, bool], Any]
) -> Pair:
    """Compile a graph and its transpose.

    Parameters
    ----------
    traced : GraphModule
        As ``torch.compile`` has traced it.
    inputs : sequence
        Examples of what it is called with: those that require a gradient get one.
    compiler : callable
        Makes a function of a graph; is told whether it is the transpose.

    Raises
    ------
    UnfitError
        If what is kept is laid out otherwise than it was foreseen.
    """
    # Imported here, as torch does itself: the compiler takes seconds that nobody else should pay.
    from torch._functorch.aot_autograd import aot_export_joint_simple  # noqa: PLC0415
    from torch._functorch.partitioners import default_partition  # noqa: PLC0415

    def apart(*given: Any) -> tuple[Tensor, ...]:
        return tuple(x.clone() for x in traced(*given))  # none is a view of anything

    with torch.enable_grad():
        joint: Any = aot_export_joint_simple(
            apart, tuple(inputs), trace_joint=True, decompositions=decompositions()
        )
    values = [node.meta["example_value"] for node in _results(traced)]
    has_cotangent = tuple(value.requires_grad for value in values)
    num_outputs = len(values)
    _without_clones(joint, num_outputs)
    forward, backward = default_partition(joint, inputs, num_fwd_outputs=num_outputs)
    num_cotangents = sum(has_cotangent)
    made, given = _names(_results(forward)[num_outputs:]), _names(_placeholders(backward))
    if made != given[: len(given) - num_cotangents]:
        raise UnfitError
    group_products(backward)
    return Pair(
        compiler(forward, False),
        compiler(backward, True),
        num_outputs,
        has_cotangent,
    )


def _results(graph: GraphModule) -> list[Any]:
    (output,) = graph.graph.find_nodes(op="output")
    return list(output.args[0])


def _placeholders(graph: GraphModule) -> list[Any]:
    return list(graph.graph.find_nodes(op="placeholder"))


def _names(nodes: Sequence[Any]) -> list[str]:
    return [node.name for node in nodes]


def _without_clones(joint: GraphModule, num_outputs: int) -> None:
    """Let outputs be what was cloned for them, but for inputs, and what is there twice."""
    (output,) = joint.graph.find_nodes(op="output")
    results = list(output.args[0])
    for place, node in enumerate(results[:num_outputs]):
        if node.target is torch.ops.aten.clone.default:
            (cloned,) = node.args
            if cloned.op != "placeholder" and cloned not in results:
                results[place] = cloned
    output.args = (tuple(results),)
    joint.graph.eliminate_dead_code()
    joint.recompile()


def _interpreted(graph: GraphModule, _: bool) -> Any:
    return lambda inputs: graph(*inputs)


def _compiled(graph: GraphModule, is_backward: bool) -> Any:
    from torch._inductor import config  # noqa: PLC0415
    from torch._inductor.compile_fx import compile_fx_inner  # noqa: PLC0415

    examples = [node.meta["val"] for node in _placeholders(graph)]
    with config.patch(size_asserts=False):
        return compile_fx_inner(graph, examples, is_backward=is_backward)
