"""Graphs compiled by torch's own compiler, and the function within that does the work.

Around what the compiler writes lie wrappers of torch's, for what a graph might do beside: they take
as long as a small network. Where a call shows that they did nothing, the function within is called.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from symadj.forward.tape import Recipe, Tape
from symadj.forward.written_out import small_addmm, small_mm, tanh


class Inner:
    """A function as the compiler has written it, which takes a list and empties it.

    Parameters
    ----------
    compiled : object
        What the compiler returns; until the function is known, it calls this.

    Attributes
    ----------
    function : callable
    is_light : bool
        Whether it calls small kernels of the compiler's alone, and edits no input.
    """

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self.function: Callable[[list[Any]], Sequence[Any]] = compiled.current_callable
        compiled.current_callable = self._watched
        self._latest: tuple[tuple[Any, ...], Sequence[Any]] | None = None
        self._order: tuple[int, ...] | None = None
        self._edited: tuple[int, ...] = ()
        self._recipe: Recipe | None = None
        self.is_light = False
        self._idle: dict[frozenset[int] | None, list[Tape]] = {}

    def _watched(self, inputs: list[Any]) -> Sequence[Any]:
        """Call the function, and keep in mind with what."""
        given = tuple(inputs)
        outputs = self.function(inputs)
        self._latest = given, outputs
        return outputs

    def call(self, graph: Callable[..., Sequence[Any]], given: tuple[Any, ...]) -> Sequence[Any]:
        """Call the graph around the function, or the function in its place once it is known."""
        if self._order is None:
            return self._learn(graph, given)
        tape, inputs = self.borrow(), [given[place] for place in self._order]
        if tape is None:
            outputs = self.function(inputs)
        else:
            outputs = tape(inputs)
            self.give_back(tape)
        return outputs

    def _learn(self, graph: Callable[..., Sequence[Any]], given: tuple[Any, ...]) -> Sequence[Any]:
        """Call the graph, and find out whether it did anything beside."""
        versions = list(map(version, given))
        outputs = graph(*given)
        latest, self._latest = self._latest, None
        if latest is None or len(latest[1]) != len(outputs):
            return outputs
        inputs, made = latest
        places = {id(x): place for place, x in enumerate(given)}
        if all(a is b for a, b in zip(made, outputs, strict=True)) and all(
            id(x) in places for x in inputs
        ):
            self._edited = tuple(
                place for place, x in enumerate(given) if version(x) > versions[place]
            )
            recipe = self._recipe = Recipe.of(self.function, len(inputs))
            is_small = recipe is not None and recipe.takes_pointers_alone
            self.is_light = is_small and not self._edited
            self._order = tuple(places[id(x)] for x in inputs)
            self._compiled.current_callable = self.function
        return outputs

    def inputs_of(self, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return the function's inputs in a call of the graph; None where the graph does more."""
        if self._order is None:
            return None
        if self._edited:  # what else autograd has saved of them is out of date: it has to see that
            torch.autograd.graph.increment_version([given[place] for place in self._edited])
        return tuple(given[place] for place in self._order)

    def borrow(self, fresh: frozenset[int] | None = None) -> Tape | None:
        """Return a tape that does the same, for one caller; None where there can be none.

        Parameters
        ----------
        fresh : frozenset of int, optional
            See `Tape`.
        """
        if self._recipe is None:
            return None
        idle = self._idle.setdefault(fresh, [])
        try:
            return idle.pop()
        except IndexError:
            return Tape(self._recipe, fresh)

    def give_back(self, tape: Tape) -> None:
        """Take a tape back, for the next caller."""
        tape.let_go()
        self._idle[tape.fresh].append(tape)


def version(x: Any) -> int:
    """Return how often a tensor was edited, where that is counted."""
    return x._version if isinstance(x, Tensor) and not x.is_inference() else 0


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Return what the compiler takes operations apart into, small matrix products among them."""
    from torch._inductor.decomposition import select_decomp_table  # noqa: PLC0415

    return {
        **select_decomp_table(),
        torch.ops.aten.mm.default: small_mm,
        torch.ops.aten.addmm.default: small_addmm,
        torch.ops.aten.tanh.default: tanh,
    }


def compile_by_inductor(
    graph: torch.fx.GraphModule, inputs: list[Any]
) -> tuple[Callable[..., Any], Inner | None]:
    """Compile a graph as ``torch.compile`` does by default, small matrix products written out.

    Returns
    -------
    tuple of callable and Inner or None
        The graph, and the function within, if there is one alone.
    """
    # Imported here, as torch does itself: the compiler takes seconds that nobody else should pay.
    from torch._functorch.compile_utils import fx_graph_cse  # noqa: PLC0415
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner  # noqa: PLC0415

    made = []

    def compile_inner(inner: torch.fx.GraphModule, *args: Any, **kwargs: Any) -> Any:
        # An evaluation of f that is there twice is made once, which torch does in training alone.
        inner.graph = fx_graph_cse(inner.graph)
        made.append(compile_fx_inner(inner, *args, **kwargs))
        return made[-1]

    table = decompositions()
    # A graph out of the cache would not show its function. With decompositions none is there.
    with torch._functorch.config.patch(enable_autograd_cache=False):
        # Sizes and strides are those that the guards saw: to compare them takes as long as a sum.
        compile_outer: Any = compile_fx
        compiled: Callable[..., Any] = compile_outer(
            graph,
            inputs,
            inner_compile=compile_inner,
            decompositions=table,
            config_patches={
                "size_asserts": False,
                # A product and a sum rounded once: a fifth of the time, and no digit lost.
                "cpp.enable_floating_point_contract_flag": "fast",
            },
        )
    is_one = len(made) == 1 and callable(getattr(made[0], "current_callable", None))
    return compiled, Inner(made[0]) if is_one else None
