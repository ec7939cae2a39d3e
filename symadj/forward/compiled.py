"""Whole steps as one compiled graph each, for networks so small that Python is what they cost."""

import functools
import math
import warnings
from array import array
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from symadj.errors import CompileFallbackWarning
from symadj.forward.carried import Recorder
from symadj.forward.controller import EqualSteps, ErrorControl, FixedGrid
from symadj.forward.field import Field
from symadj.forward.followers import Follower
from symadj.forward.graphs import Called, Graphs, Shortcut, TooLargeError, form_of, graphs_of
from symadj.forward.guards import Entry
from symadj.forward.inductor import version
from symadj.forward.scalars import scalar
from symadj.forward.slopes import SlopeList
from symadj.forward.traced import Method, Traced, replay_function, step_function
from symadj.forward.trajectory import Stretch
from symadj.forward.transforms import is_transformed, outside_transforms
from symadj.tableaus import ButcherTableau
from symadj.types import Norm

CODES = {torch.float32: "f", torch.float64: "d"}
"""What `array.array` calls the dtypes of times."""

MOST_LIGHT_BYTES = 2**13
"""A state beyond which to call ``f`` once takes no longer than a step by a graph."""


class Taken(NamedTuple):
    """A step that a graph has taken.

    Attributes
    ----------
    stage_states : list of Tensor, shape (n,)
        All s of them.
    y1 : Tensor, shape (n,)
    ratio : float
        The norm of the error in units of the tolerance; 0 where none is estimated.
    """

    stage_states: list[Tensor]
    y1: Tensor
    ratio: float


class KeepingSteps(Protocol):
    """Takes steps that keep what their transposes need."""

    is_on: bool

    def attempt(self, slopes: SlopeList, y: Tensor, stretch: Stretch) -> Taken | None:
        """Do as `CompiledSteps.attempt`."""


class CompiledSteps:
    """The steps of one solve, as graphs.

    Parameters
    ----------
    field : Field
    tableau : ButcherTableau
        Of an explicit method.
    control : FixedGrid, EqualSteps or ErrorControl
    time_dtype : torch.dtype or None
        Dtype in which the times of the stages are formed; None for the real dtype of the state.
    graphs : Graphs
    is_alone : bool
        Whether no code of the caller's but ``f`` is run between the steps.

    Attributes
    ----------
    keeping : KeepingSteps or None
        What takes the steps in this one's place, as long as it is on.
    is_light : bool
        Whether a step was seen to be one of small kernels that change nothing but their results.
    unwatched : callable
        Returns a context without the hooks by which the solve watches modules.
    """

    def __init__(
        self,
        field: Field,
        tableau: ButcherTableau,
        control: FixedGrid | EqualSteps | ErrorControl,
        time_dtype: torch.dtype | None,
        graphs: Graphs,
        *,
        is_alone: bool,
    ) -> None:
        self.field, self.graphs = field, graphs
        self.method = Method.of(tableau)
        self.name, self._time_dtype = tableau.name, time_dtype
        self.replay_key = ("replay", tableau.name)
        self.makes_first = not control.is_adaptive
        self._norm: Norm | None = None
        self._outer_norm: Norm | None = None
        self._tolerances = _tolerances(0.0, 1.0)
        if isinstance(control, ErrorControl):
            # The processes that agree on steps talk to each other, which a graph is not to do.
            self._outer_norm = None if control.agreement is None else control.norm
            self._norm = control.norm if control.agreement is None else _itself
            self._tolerances = _tolerances(control.rtol, control.atol)
        self.is_alone = is_alone
        self._shortcuts: dict[Any, Shortcut] = {}
        self._lean: list[Shortcut] = []
        self._gave_up = False
        self._foreseen: dict[Any, Entry] = {}
        self._is_foreseen = False
        self._first: tuple[Entry, tuple[Any, ...]] | None = None
        self._step_made: tuple[Entry, tuple[Any, ...]] | None = None
        self.keeping: KeepingSteps | None = None
        self.is_light = False
        self.unwatched: Callable[[], AbstractContextManager[None]] = nullcontext

    @staticmethod
    def of(
        field: Field,
        tableau: ButcherTableau,
        control: FixedGrid | EqualSteps | ErrorControl,
        time_dtype: torch.dtype | None,
        choice: bool | str,
        *,
        is_alone: bool,
    ) -> "CompiledSteps | None":
        """Return the compiled steps that ``options["compile"]`` asks for; None for eager ones."""
        if not choice:
            return None
        graphs = graphs_of(field.func, "inductor" if choice is True else choice)
        return CompiledSteps(field, tableau, control, time_dtype, graphs, is_alone=is_alone)

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

    def begin(
        self,
        evaluate: Callable[[Tensor], Tensor],
        y0: Tensor,
        t0: float,
        recorder: Recorder | None,
        *,
        needs_slope: bool,
    ) -> Tensor | None:
        """Get ready for a solve: ``f`` is looked at by one evaluation without a graph, its first.

        Parameters
        ----------
        evaluate : callable
            Evaluates ``f`` at the start.
        y0 : Tensor, shape (n,)
        t0 : float
        recorder : Recorder or None
            Told that evaluations within graphs are not announced to it.
        needs_slope : bool
            Whether ``f`` at the start is read by others than the first step.

        Returns
        -------
        Tensor, shape (n,), or None
            ``f`` at the start; None where steps make it for themselves, or `first_slope` will.
        """
        slope = None if self._is_foreseen else evaluate(y0)
        if recorder is not None and recorder.settle():
            if self.makes_first:
                recorder.rewind()
            self.give_up("f draws random numbers, which a graph would not draw again")
        if y0.is_complex():
            self.give_up("the state is complex, which the compiler does not support", forever=False)
        if self.field.packing.layouts is not None:
            self.give_up("the state is a DTensor, which was not tried in a graph", forever=False)
        if self.makes_first:
            return None
        if self._is_light(y0, t0):
            self.field.nfe += slope is None
            return self.first_slope(y0, t0) if needs_slope else None
        return evaluate(y0) if slope is None else slope

    def _is_light(self, y0: Tensor, t0: float) -> bool:
        """Return whether a step by a graph takes no longer than Python for a call of ``f``."""
        is_fit = self.is_alone and self.keeping is None and self._outer_norm is None
        if not is_fit or not self.method.is_fsal or y0.nbytes > MOST_LIGHT_BYTES:
            return False
        call = self._step_call(self._nowhere(y0, t0), estimates=True)
        # It may be compiled now, and called for that: what f keeps is not to know of it.
        buffers = () if self._is_foreseen else self.field.buffers()
        found = [(buffer, version(buffer), buffer.clone()) for buffer in buffers]
        self.prepare(*call)
        for buffer, before, value in found:
            if version(buffer) != before:
                buffer.copy_(value)
        return self.is_light

    def first_slope(self, y0: Tensor, t0: float) -> Tensor:
        """Return ``f`` at the start, where a light graph was asked for it by `begin`.

        A step of no size ends where it starts: its end slope is ``f`` there.
        """
        key = self._step_key(makes_first=False, estimates=True)
        slope: Tensor = self._shortcuts[key](self._nowhere(y0, t0))[-1]
        return slope

    def _nowhere(self, y0: Tensor, t0: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return state, span and first slope of a step of no size."""
        return y0, self.span_of(Stretch(t0, t0, 0.0, 0, 0), y0), torch.zeros_like(y0)

    def foresees(self, y0: Tensor) -> bool:
        """Return whether a graph will take the first step, of which it is known what it reads.

        Its guards are asked here. They answer for ``f`` as a whole, in the solve to come: it will
        do what it did when it was traced, and read what it was seen to read then.

        Parameters
        ----------
        y0 : Tensor, shape (n,)
        """
        if not self.are_on or is_watched() or not self.is_alone:
            return False
        key = self._step_key(makes_first=self.makes_first, estimates=self.estimates)
        function = self.graphs.functions.get(key)
        if function is None:
            return False
        span = torch.empty(5, dtype=self.time_dtype(y0), device=y0.device)
        slope = None if self.makes_first else torch.empty_like(y0)
        entry = function.find(self._arguments(self.fixed, (y0, span, slope)))
        if entry is not None:
            self._foreseen[key] = entry
            self._is_foreseen = entry.reads is not None
        return self._is_foreseen

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
        """Return what the graph has read that `foresees` knew, of that which gets a gradient."""
        first, self._first = self._first, None
        if first is None or first[0].reads is None:
            return []
        return [first[1][place] for place in first[0].reads]

    def span_of(self, stretch: Stretch, y: Tensor) -> Tensor:
        """Return t0, h and t1 of a stretch, and its sides as signed directions, shape (5,)."""
        return self._numbers(_span(stretch), y)

    def spans_of(self, stretches: Sequence[Stretch], y: Tensor) -> Tensor:
        """Return what `span_of` does for many stretches, made at once: a row for each."""
        values = [value for stretch in stretches for value in _span(stretch)]
        return self._numbers(values, y).view(-1, 5)

    def _numbers(self, values: Sequence[float], y: Tensor) -> Tensor:
        dtype = self.time_dtype(y)
        code = CODES.get(dtype)
        if code is None or y.device.type != "cpu":
            return torch.tensor(values, dtype=dtype, device=y.device)
        return torch.frombuffer(array(code, values), dtype=dtype)  # a third of the time

    def time_dtype(self, y: Tensor) -> torch.dtype:
        """Return the dtype in which the times of a step come, beside a state."""
        return self._time_dtype or y.dtype.to_real()

    def changing_span(self, y: Tensor) -> "tuple[array[float], Tensor]":
        """Return five numbers that can be written to, and a tensor that reads them, on the CPU."""
        dtype = self.time_dtype(y)
        numbers = array(CODES[dtype], [0.0] * 5)
        return numbers, torch.frombuffer(numbers, dtype=dtype)

    def attempt(self, slopes: SlopeList, y: Tensor, stretch: Stretch) -> Taken | None:
        """Take a step, its first slope being there; None if there is no graph for it.

        Parameters
        ----------
        slopes : SlopeList
            The others are put there.
        y : Tensor, shape (n,)
        stretch : Stretch
        """
        if self.keeping is not None and self.keeping.is_on:
            taken = self.keeping.attempt(slopes, y, stretch)
            if taken is not None:
                return taken
        first = None if self.makes_first else slopes.k[0]
        result = self._step(y, stretch, first, estimates=self.estimates)
        if result is None:
            return None
        y1, ratio, *made = result
        s = len(self.method.rows)
        first_made = 0 if self.makes_first else 1
        slopes.k[first_made : first_made + len(made) - (s - 1)] = made[s - 1 :]
        return Taken([y, *made[: s - 1]], y1, self.ratio_of(ratio))

    def ratio_of(self, norm: Tensor | None) -> float:
        """Return the norm of the error of which a graph returns a part; 0 without one."""
        if norm is None:
            return 0.0
        return abs(float(norm if self._outer_norm is None else self._outer_norm(norm)))

    @property
    def fixed(self) -> tuple[Tensor, Tensor, Norm | None]:
        """What a step's graph is given beside ``f``: tolerances, and a norm where it has one."""
        return (*self._tolerances, self._norm)

    def retake(self, y: Tensor, stretch: Stretch) -> Taken | None:
        """Take a step again from the state at its start; None if there is no graph for it."""
        result = self._step(y, stretch, None, estimates=False)
        if result is None:
            return None
        return Taken([y, *result[2 : 1 + len(self.method.rows)]], result[0], 0.0)

    def _step(
        self, y: Tensor, stretch: Stretch, first_slope: Tensor | None, *, estimates: bool
    ) -> Sequence[Any] | None:
        """Return end state, ratio, stage states but the first, slopes; None without a graph."""
        changing = (y, self.span_of(stretch, y), first_slope)
        result = self.call(*self._step_call(changing, estimates=estimates))
        if result is not None:
            self.field.nfe += len(result) - 1 - len(self.method.rows)
        return result

    def _step_call(
        self, changing: tuple[Tensor, Tensor, Tensor | None], *, estimates: bool
    ) -> tuple[Any, ...]:
        """Return what `call` is given for a step from a state, with its span and first slope."""
        makes_first = changing[2] is None
        return (
            self._step_key(makes_first=makes_first, estimates=estimates),
            functools.partial(step_function, self.method, makes_first=makes_first),
            (*self._tolerances, self._norm if estimates else None),
            changing,
        )

    def _step_key(self, *, makes_first: bool, estimates: bool) -> Any:
        return ("step", self.name, makes_first, estimates)

    @property
    def estimates(self) -> bool:
        """Whether steps estimate their error."""
        return self._norm is not None

    def _is_key_of_step(self, key: Any) -> bool:
        """Return whether this is the key of the solve's own steps."""
        own = self._step_key(makes_first=self.makes_first, estimates=self.estimates)
        return bool(key == own)

    @property
    def is_known(self) -> bool:
        """Whether the guards of a step have been checked."""
        key = self._step_key(makes_first=self.makes_first, estimates=self.estimates)
        return key in self._shortcuts

    def lean_step(self, y: Tensor, num_kept: int) -> Shortcut | None:
        """Return how to take one more step as `attempt` does, without what nobody reads.

        Parameters
        ----------
        y : Tensor, shape (n,)
            A state.
        num_kept : int
            How many stage states are wanted, from the second on.

        Returns
        -------
        Shortcut or None
            Returns the end state, the ratio, under error control the end slope, and the stage
            states wanted; then, if it makes an end slope, the slopes before that, which are written
            over by the next step. None if no guards were checked yet, or there is no such thing.
        """
        if self.keeping is not None and self.keeping.is_on:
            return None
        estimates, s = self._norm is not None, len(self.method.rows)
        dtype = self.time_dtype(y)
        is_known = dtype in CODES and y.device.type == "cpu" and self._outer_norm is None
        if not is_known or (estimates and not self.method.is_fsal):
            return None
        end_slope = [2 * s] if estimates else []
        inner = range(1 + s, 2 * s) if estimates else range(0)
        states = range(2, 2 + num_kept)
        key = self._step_key(makes_first=self.makes_first, estimates=estimates)
        return self.lean(key, (0, 1, *end_slope, *states, *inner), in_workspace=(1, *inner))

    def count(self, num_steps: int) -> None:
        """Count the evaluations of so many steps that `lean_step` has taken."""
        s, is_end_made = len(self.method.rows), self._norm is not None and self.method.is_fsal
        self.field.nfe += num_steps * (s - (not self.makes_first) + is_end_made)

    def replay(self, y: Tensor, stretch: Stretch) -> list[Tensor] | None:
        """Make the stage states of a step again; None if there is no graph for it."""
        make = functools.partial(replay_function, self.method)
        states = self.call(self.replay_key, make, (), (y, self.span_of(stretch, y)))
        if states is None:
            return None
        self.field.nfe += len(states)
        return [y, *states]

    def call(
        self,
        key: Any,
        make: Callable[[], Traced],
        fixed: Sequence[Any],
        changing: Sequence[Tensor | None],
        most_leaves: int | None = None,
        most_bytes: int | None = None,
    ) -> Sequence[Any] | None:
        """Call a compiled function; None, after a warning, if it cannot be compiled.

        Guards are checked by the first call of a solve. They hold for the others: a graph has no
        side effects, and ``f`` sees nobody else meanwhile.

        Parameters
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
        shortcut = self._shortcuts.get(key)
        if shortcut is None:
            shortcut, result = self.prepare(key, make, fixed, changing, most_leaves, most_bytes)
            if shortcut is None or result is not None:
                return result
        return shortcut(changing)

    def prepare(
        self,
        key: Any,
        make: Callable[[], Traced],
        fixed: Sequence[Any],
        changing: Sequence[Tensor | None],
        most_leaves: int | None = None,
        most_bytes: int | None = None,
    ) -> tuple[Shortcut | None, Sequence[Any] | None]:
        """Have guards checked; parameters as for `call`.

        Returns
        -------
        Shortcut or None
            The way around them, from now on; None where there is none.
        sequence or None
            What a call returns, if that was needed to find out: a known graph is not called.
        """
        is_too_large = bool(self.graphs.too_large) and _form(key, changing) in self.graphs.too_large
        if not self.are_on or is_watched() or is_too_large:
            return None, None
        following = (key, *(x is None for x in changing))
        shortcut = self._by_step(following, fixed)
        result: Sequence[Any] | None = None
        if shortcut is None:
            self.graphs.allow(most_leaves, most_bytes)
            entry, called, result = self._call_by_guards(key, make, fixed, changing)
            if entry is not None and called is not None:
                shortcut = self._learned(following, entry, called, fixed, changing)
        if shortcut is not None:
            self._shortcuts[key] = shortcut
            self.is_light |= self._is_key_of_step(key) and shortcut.is_light
        return shortcut, result

    def _by_step(self, following: Any, fixed: Sequence[Any]) -> Shortcut | None:
        """Return the way around guards that have no more to ask than a step's in this solve."""
        if self._step_made is None:
            return None
        step, inputs = self._step_made
        follower = step.followers.get(following)
        called = None if follower is None else follower.called(inputs, fixed)
        if follower is None or called is None or follower.entry.form is None:
            return None
        return Shortcut(called, follower.entry.form)

    def _learned(
        self,
        following: Any,
        entry: Entry,
        called: Called,
        fixed: Sequence[Any],
        changing: Sequence[Tensor | None],
    ) -> Shortcut | None:
        """Return the way around guards that were asked, and keep in mind where it leads from."""
        if self._is_key_of_step(following[0]):
            self._first = entry, called.inputs
            is_small = changing[0] is not None and changing[0].nbytes <= MOST_LIGHT_BYTES
            self._step_made = self._first if is_small else None
        if entry.form is None or not self.is_alone:
            return None
        step = self._step_made
        if step is not None and entry is not step[0] and following not in step[0].followers:
            found = Follower.of(step, entry, called, fixed, changing)
            step[0].followers[following] = found
        return Shortcut(called, entry.form)

    def _call_by_guards(
        self,
        key: Any,
        make: Callable[[], Traced],
        fixed: Sequence[Any],
        changing: Sequence[Tensor | None],
    ) -> tuple[Entry | None, Called | None, Sequence[Any] | None]:
        """Return what was compiled, its call, and what it returns unless it was known before."""
        graphs = self.graphs
        function, args = graphs.function(key, make), self._arguments(fixed, changing)
        try:
            with self.unwatched():
                entry = self._foreseen.pop(key, None) or function.find(args)
                if entry is not None and entry.form is not None and self.is_alone:
                    return entry, graphs.gather(entry.function, args), None
                result = function(*args) if entry is None else entry.function(*args)
                entry, called = entry or function.find(args), graphs.take_called()
        except torch._dynamo.exc.TorchDynamoException as error:
            if isinstance(getattr(error, "inner_exception", None), TooLargeError):
                graphs.too_large.add(_form(key, changing))
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
            entry.form = form_of(called, changing, result)
        return entry, called, result

    def guarded(
        self, function: Traced, fixed: Sequence[Any], changing: Sequence[Tensor | None]
    ) -> Sequence[Any]:
        """Call a compiled function, by its guards, with what `call` describes."""
        with self.unwatched():
            result: Sequence[Any] = function(*self._arguments(fixed, changing))
        return result

    def _arguments(
        self, fixed: Sequence[Any], changing: Sequence[Tensor | None]
    ) -> tuple[Any, ...]:
        field = self.field
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
        self.unwatched, self.keeping = nullcontext, None
        for shortcut in (*self._shortcuts.values(), *self._lean):
            shortcut.let_go()
        self._shortcuts.clear()
        self._lean.clear()
        self._foreseen.clear()


def is_watched() -> bool:
    """Whether every operation is to be seen: by a transform, or a `TorchDispatchMode`."""
    return is_transformed() or torch._C._len_torch_dispatch_stack() > 0


def _span(stretch: Stretch) -> tuple[float, ...]:
    t0, t1, h, first_side, end_side = stretch
    direction = math.copysign(1.0, h)
    return t0, h, t1, first_side * direction, end_side * direction


def _form(key: Any, changing: Sequence[Tensor | None]) -> Any:
    """Return what a call that is too large is known by."""
    return (key, *(None if x is None else (x.shape, x.dtype) for x in changing))


def _itself(x: Tensor) -> Tensor:
    return x


def _tolerances(rtol: float | Tensor, atol: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return tolerances as tensors."""
    if isinstance(rtol, Tensor) or isinstance(atol, Tensor):
        return _as_tensors(rtol, atol)
    return _of_numbers(rtol, atol)


@functools.lru_cache(maxsize=256)
def _of_numbers(rtol: float, atol: float) -> tuple[Tensor, Tensor]:
    with outside_transforms():
        return _as_tensors(rtol, atol)


def _as_tensors(rtol: float | Tensor, atol: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return two tensors, also where the tolerances are equal, as a graph would tell."""
    first, second = (
        x.to(torch.float64) if isinstance(x, Tensor) else torch.as_tensor(scalar(x, torch.float64))
        for x in (rtol, atol)
    )
    return first, second.clone() if second is first else second


def _first_words(error: Exception) -> str:
    """Return the first line of a message that says something, and its explanation, if any."""
    cause = getattr(error, "inner_exception", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    words = lines[:1] or [type(cause).__name__]
    mark = "Explanation: "
    return ": ".join(words + [line.removeprefix(mark) for line in lines if line.startswith(mark)])
