"""Small compiled graphs replayed: their kernels alone, in memory that is there already.

What the compiler makes of a graph is a Python function that allocates every intermediate result,
calls a few kernels, and returns. For a small network the allocations take as long as the kernels.
`Recipe.of` runs that function once on stand-ins, which shows what it would do; a `Tape` does the
same, with intermediate results in a workspace that is used for call after call.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    is_own: bool
    """Whether it is the compiler's own, which is told where numbers lie and knows the rest."""


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

    @property
    def takes_pointers_alone(self) -> bool:
        """Whether all kernels are the compiler's own, and every argument is where numbers lie."""
        return all(
            kernel.is_own and not kernel.kwargs and all(isinstance(x, Stand) for x in kernel.args)
            for kernel in self.kernels
        )

    def base(self, stand: Stand) -> Stand:
        """Return the input or buffer that a stand is, or is a view of."""
        while stand.kind == "view":
            stand = self.views[stand.index][0]
        return stand

    def view(self, stand: Stand) -> tuple[Any, ...] | None:
        """Return size, stride and offset of a view in what it is a view of; None if it is none."""
        if stand.kind != "view":
            return None
        of, (size, stride, offset) = self.views[stand.index]
        inner = self.view(of)
        return (size, stride, offset if inner is None else offset + inner[2])


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
            return _Library(lambda function: self._kernel(function, is_own=False), value)
        if name == "torch":
            return _Dtypes()
        if name.startswith(KERNEL_PREFIX):
            return self._kernel(value, is_own=True)
        return value if isinstance(value, Tensor) else None

    def _allocate(self, size: Any, stride: Any, dtype: torch.dtype) -> Stand:
        self.buffers.append(Buffer(tuple(size), tuple(stride), dtype))
        return Stand("buffer", len(self.buffers) - 1)

    def _view(self, stand: Any, *how: Any) -> Stand:
        if not isinstance(stand, Stand):
            raise TypeError
        self.views.append((stand, how))
        return Stand("view", len(self.views) - 1)

    def _kernel(self, function: Callable[..., object], *, is_own: bool) -> Callable[..., None]:
        def note(*args: Any, **kwargs: Any) -> None:
            self.kernels.append(Kernel(function, args, kwargs, is_own))

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


class Seat:
    """Where one tensor is an argument, and where views of it are.

    Attributes
    ----------
    places : list of (list or dict, key)
        Where it is.
    views : list of (tuple, list of places)
        Size, stride and offset of a view, and where that is.
    buffer : Buffer or None
        How its memory is allocated; None for an input.
    """

    def __init__(self, buffer: Buffer | None = None) -> None:
        self.buffer = buffer
        self.places: list[tuple[Any, Any]] = []
        self.views: list[tuple[tuple[Any, ...], list[tuple[Any, Any]]]] = []

    def offsets(self) -> Iterator[tuple[Any, Any, int]]:
        """Yield each place, of views too, and how many numbers into the tensor it begins."""
        for into, key in self.places:
            yield into, key, 0
        for (_, _, offset), places in self.views:
            for into, key in places:
                yield into, key, offset


class Tape:
    """What a compiled function does, done with a workspace of its own: by one caller at a time.

    Each kernel's arguments lie ready in a list. Only what changes from call to call is put there.

    Parameters
    ----------
    recipe : Recipe
    fresh : frozenset of int, optional
        Which outputs get memory of their own in each call; the others lie in the workspace, to be
        read before the next call. All of them, unless given.

    Attributes
    ----------
    calls : list of (callable, list, dict)
        Kernels and their arguments.
    inputs : list of Seat
        Where each input goes.
    takes_pointers_alone : bool
        See `Recipe`.
    companion : object
        What somebody has made of this tape, and wants to find with it the next time.
    """

    def __init__(self, recipe: Recipe, fresh: frozenset[int] | None = None) -> None:
        self.fresh = fresh
        self.companion: Any = None
        self._outputs: list[Any] = [None] * len(recipe.outputs)
        self.calls: list[tuple[Callable[..., object], list[Any], dict[str, Any]]] = []
        seats: dict[Stand, Seat] = {Stand("input", i): Seat() for i in range(recipe.num_inputs)}
        for kernel in recipe.kernels:
            args, kwargs = list(kernel.args), dict(kernel.kwargs)
            self.calls.append((kernel.function, args, kwargs))
            reads_shape = not kernel.is_own
            for key, value in (*enumerate(args), *kwargs.items()):
                if isinstance(value, Stand):
                    into: Any = args if isinstance(key, int) else kwargs
                    into[key] = None
                    _note(seats, recipe, value, (into, key), reads_shape=reads_shape)
        for place, stand in enumerate(recipe.outputs):
            _note(seats, recipe, stand, (self._outputs, place), reads_shape=True)
        own = {
            recipe.base(stand)
            for place, stand in enumerate(recipe.outputs)
            if fresh is None or place in fresh
        }
        self.takes_pointers_alone = recipe.takes_pointers_alone
        bases = [recipe.base(stand) for stand in recipe.outputs]
        self._made = [seats[base] if bases.count(base) == 1 else None for base in bases]
        self._allocate, self._view = recipe.tools[ALLOCATE], recipe.tools[VIEW]
        self.inputs = [seats[Stand("input", i)] for i in range(recipe.num_inputs)]
        self._allocations: list[tuple[Buffer, Seat]] = []
        for index, buffer in enumerate(recipe.buffers):
            seat = seats.get(Stand("buffer", index))
            if seat is None:
                continue
            if Stand("buffer", index) in own:
                self._allocations.append((buffer, seat))
            else:
                self._put(seat, torch.empty_strided(buffer.size, buffer.stride, dtype=buffer.dtype))
        # With no input in its place, and no output.
        self._blank = [(args.copy(), kwargs.copy()) for _, args, kwargs in self.calls]
        self._blank_outputs = self._outputs.copy()

    def _put(self, seat: Seat, x: Any) -> None:
        for into, key in seat.places:
            into[key] = x
        for how, places in seat.views:
            view = self._view(x, *how)
            for into, key in places:
                into[key] = view

    def put(self, index: int, x: Any) -> None:
        """Put an input in its places, for the calls that follow."""
        self._put(self.inputs[index], x)

    def seat_of_output(self, place: int) -> Seat | None:
        """Return where an output goes; None if its memory is that of others, or of an input."""
        seat = self._made[place]
        return None if seat is None or seat.buffer is None else seat

    def in_workspace(self, place: int) -> Any:
        """Return an output that lies in the workspace, where the kernels write it; None for others.

        It is there as soon as the tape is.
        """
        return self._outputs[place]

    def run(self) -> list[Any]:
        """Call the kernels with what was put in place, and return the outputs."""
        allocate = self._allocate
        for buffer, seat in self._allocations:
            self._put(seat, allocate(*buffer))
        for function, args, kwargs in self.calls:
            function(*args, **kwargs)
        return self._outputs.copy()

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs for these inputs."""
        for index, x in enumerate(inputs):
            self.put(index, x)
        return self.run()

    def let_go(self) -> None:
        """Hold on to nothing but the workspace."""
        for (_, args, kwargs), (blank_args, blank_kwargs) in zip(
            self.calls, self._blank, strict=True
        ):
            args[:] = blank_args
            kwargs.update(blank_kwargs)
        self._outputs[:] = self._blank_outputs


def _note(
    seats: dict[Stand, Seat],
    recipe: Recipe,
    stand: Stand,
    place: tuple[Any, Any],
    *,
    reads_shape: bool,
) -> None:
    """Note where a tensor, or a view of one, is an argument.

    The compiler's own kernels read where the numbers of a tensor begin, and nothing else of it.
    """
    base, how = recipe.base(stand), recipe.view(stand)
    if base not in seats:
        seats[base] = Seat(recipe.buffers[base.index] if base.kind == "buffer" else None)
    seat = seats[base]
    if how is None or (not reads_shape and how[2] == 0):
        seat.places.append(place)
        return
    for known, places in seat.views:
        if known == how:
            places.append(place)
            return
    seat.views.append((how, [place]))
