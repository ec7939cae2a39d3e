"""Small compiled graphs replayed: their kernels alone, in memory that is there already.

What the compiler makes of a graph is a Python function that allocates every intermediate result,
calls a few kernels, and returns. For a small network the allocations take as long as the kernels.
`Recipe.of` runs that function once on stand-ins, which shows what it would do; a `Tape` does the
same, with intermediate results in a workspace that is used for call after call.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor

MOST_WORKSPACE_BYTES = 2**20
"""Intermediate results up to which a graph is replayed: a larger one is not helped by it, and would
hold them all where the compiler's function frees them on the way."""

ALLOCATE, VIEW, LIBRARY = "empty_strided_cpu", "reinterpret_tensor", "extern_kernels"
"""What the compiler's functions are made of, beside their kernels."""

KERNEL_PREFIX = "cpp_fused"
"""How the names of the compiler's own kernels for the CPU begin."""


@dataclass(frozen=True, slots=True)
class Stand:
    """What stands for a tensor while a function is looked at.

    Attributes
    ----------
    kind : str
        "input", "buffer" or "view".
    index : int
        Which of them.
    """

    kind: str
    index: int


class Buffer(NamedTuple):
    """An allocation: arguments of ``torch.empty_strided``."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that it spans."""
        pairs = zip(self.size, self.stride, strict=True)
        last = sum((length - 1) * step for length, step in pairs)
        return (last + 1) * self.dtype.itemsize if all(self.size) else 0


class Kernel(NamedTuple):
    """A call of a kernel, stands among its arguments; what it returns is not used."""

    function: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Recipe(NamedTuple):
    """What a compiled function does.

    Attributes
    ----------
    num_inputs : int
    buffers : tuple of Buffer
    views : tuple of (Stand, tuple)
        What each view is of, and its size, stride and offset.
    kernels : tuple of Kernel
        In the order in which they are called.
    outputs : tuple of Stand
    tools : mapping
        The function's own ``empty_strided_cpu`` and ``reinterpret_tensor``.
    """

    num_inputs: int
    buffers: tuple[Buffer, ...]
    views: tuple[tuple[Stand, tuple[Any, ...]], ...]
    kernels: tuple[Kernel, ...]
    outputs: tuple[Stand, ...]
    tools: dict[str, Any]

    @staticmethod
    def of(function: Any, num_inputs: int) -> "Recipe | None":
        """Look at a function as the compiler has written it; None if it does anything unheard of.

        Parameters
        ----------
        function : callable
            Takes a list of inputs, which it empties.
        num_inputs : int
        """
        function = getattr(function, "__func__", function)
        if not isinstance(function, types.FunctionType) or function.__closure__:
            return None
        code, known = function.__code__, function.__globals__
        recording = _Recording()
        names = {
            name: recording.stand_in(name, known[name]) for name in code.co_names if name in known
        }
        copy = types.FunctionType(code, {"__builtins__": {}, **names})
        owner = () if code.co_argcount == 1 else (None,)
        try:
            outputs = tuple(copy(*owner, [Stand("input", index) for index in range(num_inputs)]))
        except Exception:  # whatever cannot be done with a stand-in
            return None
        if not all(isinstance(output, Stand) for output in outputs):
            return None
        if sum(buffer.nbytes for buffer in recording.buffers) > MOST_WORKSPACE_BYTES:
            return None
        return Recipe(
            num_inputs,
            tuple(recording.buffers),
            tuple(recording.views),
            tuple(recording.kernels),
            outputs,
            {name: known.get(name) for name in (ALLOCATE, VIEW)},
        )

    def base(self, stand: Stand) -> Stand:
        """Return the input or buffer that a stand is, or is a view of."""
        while stand.kind == "view":
            stand = self.views[stand.index][0]
        return stand


class _Recording:
    """Notes what a function asks for."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.views: list[tuple[Stand, tuple[Any, ...]]] = []
        self.kernels: list[Kernel] = []

    def stand_in(self, name: str, value: Any) -> Any:
        """Return what is there in the place of a global of the function."""
        if name == ALLOCATE:
            return self._allocate
        if name == VIEW:
            return self._view
        if name == LIBRARY:
            return _Library(self._kernel, value)
        if name == "torch":
            return _Dtypes()
        if name.startswith(KERNEL_PREFIX):
            return self._kernel(value)
        return value if isinstance(value, Tensor) else None

    def _allocate(self, size: Any, stride: Any, dtype: torch.dtype) -> Stand:
        self.buffers.append(Buffer(tuple(size), tuple(stride), dtype))
        return Stand("buffer", len(self.buffers) - 1)

    def _view(self, stand: Any, *how: Any) -> Stand:
        if not isinstance(stand, Stand):
            raise TypeError
        self.views.append((stand, how))
        return Stand("view", len(self.views) - 1)

    def _kernel(self, function: Callable[..., object]) -> Callable[..., None]:
        def note(*args: Any, **kwargs: Any) -> None:
            self.kernels.append(Kernel(function, args, kwargs))

        return note


class _Library:
    """Products of torch's own, written to where they are told."""

    def __init__(self, note: Callable[..., Any], library: Any) -> None:
        self._note, self._library = note, library

    def __getattr__(self, name: str) -> Callable[..., None]:
        note = self._note(getattr(self._library, name))

        def call(*args: Any, out: Stand, **kwargs: Any) -> None:
            note(*args, out=out, **kwargs)

        return call


class _Dtypes:
    """Of torch, the dtypes: the rest would be called with stand-ins."""

    def __getattr__(self, name: str) -> torch.dtype:
        return DTYPES[name]


DTYPES = {name: found for name, found in vars(torch).items() if isinstance(found, torch.dtype)}


class Tape:
    """What a compiled function does, done with a workspace of its own: by one caller at a time."""

    def __init__(self, recipe: Recipe) -> None:
        made = {recipe.base(stand) for stand in recipe.outputs}
        buffers = [(Stand("buffer", index), x) for index, x in enumerate(recipe.buffers)]
        inner = [(stand, buffer) for stand, buffer in buffers if stand not in made]
        fresh = [(stand, buffer) for stand, buffer in buffers if stand in made]
        # Everything has a place in one list, which each call makes: inputs, what never changes,
        # what is returned, views.
        self._slots: dict[Any, int] = {Stand("input", i): i for i in range(recipe.num_inputs)}
        self._fixed: list[Any] = []
        for stand, buffer in inner:
            self._slots[stand] = len(self._slots)
            self._fixed.append(torch.empty_strided(buffer.size, buffer.stride, dtype=buffer.dtype))
        constants = [
            value
            for kernel in recipe.kernels
            for value in (*kernel.args, *kernel.kwargs.values())
            if not isinstance(value, Stand)
        ]
        first = len(self._slots)
        self._fixed += constants
        after = first + len(constants)
        for place, stand in enumerate(
            (*(x for x, _ in fresh), *(Stand("view", i) for i in range(len(recipe.views))))
        ):
            self._slots[stand] = after + place
        remaining = iter(range(first, after))
        self._calls = [self._bound(kernel, remaining) for kernel in recipe.kernels]
        self._allocate, self._view = recipe.tools[ALLOCATE], recipe.tools[VIEW]
        self._allocations = [tuple(buffer) for _, buffer in fresh]
        self._views = [(self._slots[of], how) for of, how in recipe.views]
        self._outputs = [self._slots[stand] for stand in recipe.outputs]

    def _bound(self, kernel: Kernel, constants: Any) -> tuple[Any, Any, tuple[str, ...], Any]:
        """Return a kernel, and what picks its arguments out of the list."""
        places = [
            self._slots[value] if isinstance(value, Stand) else next(constants)
            for value in (*kernel.args, *kernel.kwargs.values())
        ]
        names = tuple(kernel.kwargs)
        positional = places[: len(places) - len(names)]
        named = places[len(positional) :]
        return kernel.function, _picker(positional), names, _picker(named)

    def __call__(self, inputs: list[Any]) -> list[Any]:
        """Return the outputs."""
        slots = inputs + self._fixed
        for allocation in self._allocations:
            slots.append(self._allocate(*allocation))
        for of, how in self._views:
            slots.append(self._view(slots[of], *how))
        for function, pick, names, pick_named in self._calls:
            if names:
                function(*pick(slots), **dict(zip(names, pick_named(slots), strict=True)))
            else:
                function(*pick(slots))
        return [slots[place] for place in self._outputs]


def _picker(places: list[int]) -> Callable[[list[Any]], tuple[Any, ...]]:
    """Return a function that picks out of a list what is at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda slots: tuple(slots[place] for place in places)
