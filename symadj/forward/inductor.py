"""Graphs compiled by torch's own compiler, and the function within that does the work.

Around what the compiler writes lie wrappers of torch's, for what a graph might do beside: they take
as long as a small network. Where a call shows that they did nothing, the function within is called.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from symadj.forward.matmuls import small_addmm, small_mm
from symadj.forward.tape import Recipe, Tape


class Inner:
    """A function as the compiler has written it, watched: it takes a list, which it empties.

    Parameters
    ----------
    compiled : object
        What the compiler returns; from now on it calls this.
    """

    def __init__(self, compiled: Any) -> None:
        self.function = compiled.current_callable
        compiled.current_callable = self
        self._latest: tuple[tuple[Any, ...], Sequence[Any]] | None = None
        self._recipe: Recipe | None = None
        self._is_known = False
        self._idle: list[Tape] = []

    def __call__(self, inputs: list[Any]) -> Sequence[Any]:
        """Call the function, and keep in mind with what."""
        given = tuple(inputs)
        outputs: Sequence[Any] = self.function(inputs)
        self._latest = given, outputs
        return outputs

    def take_inputs(self, outputs: Sequence[Any]) -> tuple[Any, ...] | None:
        """Return what it was called with, if these outputs are the ones that it returned."""
        latest, self._latest = self._latest, None
        if latest is None or len(latest[1]) != len(outputs):
            return None
        is_all = all(a is b for a, b in zip(latest[1], outputs, strict=True))
        return latest[0] if is_all else None

    def borrow(self, num_inputs: int) -> Tape | None:
        """Return a tape that does the same, for one caller; None where there can be none."""
        if not self._is_known:
            self._recipe, self._is_known = Recipe.of(self.function, num_inputs), True
        if self._recipe is None:
            return None
        try:
            return self._idle.pop()
        except IndexError:
            return Tape(self._recipe)

    def give_back(self, tape: Tape) -> None:
        """Take a tape back, for the next caller."""
        self._idle.append(tape)


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
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner  # noqa: PLC0415
    from torch._inductor.decomposition import select_decomp_table  # noqa: PLC0415

    made = []

    def compile_inner(*args: Any, **kwargs: Any) -> Any:
        made.append(compile_fx_inner(*args, **kwargs))
        return made[-1]

    table = {
        **select_decomp_table(),
        torch.ops.aten.mm.default: small_mm,
        torch.ops.aten.addmm.default: small_addmm,
    }
    # A graph out of the cache would not show its function. With decompositions none is there.
    with torch._functorch.config.patch(enable_autograd_cache=False):
        # Sizes and strides are those that the guards saw: to compare them takes as long as a sum.
        compile_outer: Any = compile_fx
        compiled: Callable[..., Any] = compile_outer(
            graph,
            inputs,
            inner_compile=compile_inner,
            decompositions=table,
            config_patches={"size_asserts": False},
        )
    is_one = len(made) == 1 and callable(getattr(made[0], "current_callable", None))
    return compiled, Inner(made[0]) if is_one else None
