"""Whole steps as one compiled graph each, for networks so small that Python is what they wait for.

``torch.compile`` traces a step: its stages, the estimate of its error and the norm of that. What
changes from step to step (state, times, size) goes in by tensors, so that one graph serves all
steps of a shape. What ``f`` reads besides is watched by the guards of ``torch.compile``: parameters
are read where they live, and Python values that change make another graph.

The functions traced are made anew for every ``f``, each with a code object of its own: graphs are
kept with that, found by no other ``f``, and gone when ``f`` is.
"""

import functools
import math
import types
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from symadj.errors import CompileFallbackWarning, InvalidSlopeError
from symadj.forward.carried import Recorder
from symadj.forward.controller import EqualSteps, ErrorControl, FixedGrid
from symadj.forward.field import Field
from symadj.forward.matmuls import compile_by_inductor
from symadj.forward.slopes import Slopes
from symadj.forward.trajectory import Stretch
from symadj.forward.transforms import is_transformed
from symadj.state import Packing
from symadj.tableaus import ButcherTableau
from symadj.types import Norm

Traced: TypeAlias = Callable[..., Any]


class Method(NamedTuple):
    """A tableau as numbers that become part of the graph.

    Attributes
    ----------
    rows : tuple of tuple of float
        Rows of ``a`` of the own stages.
    b : tuple of float
    error : tuple of float
        ``b - b_hat``; empty where no error is estimated.
    nodes : tuple of float
        ``c`` of the own stages, then 1.
    is_fsal : bool
        Whether the estimate reads the end slope.
    """

    rows: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    error: tuple[float, ...]
    nodes: tuple[float, ...]
    is_fsal: bool

    @staticmethod
    def of(tableau: ButcherTableau) -> "Method":
        """Read an explicit tableau."""
        s = tableau.num_evaluations
        b = tuple(float(x) for x in tableau.weights)
        return Method(
            tuple(tuple(float(x) for x in row) for row in tableau.rows),
            b[:s],
            tuple(float(x) - float(y) for x, y in zip(tableau.weights, tableau.b_hat or (), strict=False)),
            tuple(float(x) for x in tableau.nodes),
            tableau.is_fsal,
        )


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


# --- what is traced -----------------------------------------------------------------------------


def slope_of(func: Any, packing: Packing, args: tuple[Any, ...], t: Tensor, y: Tensor) -> Tensor:
    """Evaluate ``f`` on a flat state, as `Field` does but for what only happens outside of graphs.

    ``f`` gets a copy, which costs nothing in a graph: one that changed its state in place would be
    refused by `Field`, and here it must at least not change the solver's.
    """
    slope = packing.join(packing.parts_of_slope(func(t, packing.unpack(y.clone()), *args)))
    if slope.is_complex() and not y.is_complex():
        raise InvalidSlopeError("f returned a complex slope of a real state.")  # said by `Field`
    return slope


def stage_times(nodes: Sequence[float], span: Tensor, like: Tensor) -> list[Tensor]:
    """Return the times of the slopes, as `Clock` tells them.

    Parameters
    ----------
    nodes : sequence of float
    span : Tensor, shape (5,)
        See `span_of`.
    like : Tensor
        A state, for the dtype.
    """
    t0, h, t1, first, end = span.unbind()
    times = []
    for i, node in enumerate(nodes):
        time = (t1 if node == 1.0 else h * node + t0).to(like.dtype)
        shift = (first if i == 0 else end).to(like.dtype)
        if i == 0 or node == 1.0:
            time = torch.nextafter(time, time + shift)
        times.append(time)
    return times


def combine(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor | None:
    """Return the weighted sum of slopes; None for an empty one."""
    total = None
    for weight, slope in zip(weights, slopes, strict=False):
        if weight:
            term = weight * slope
            total = term if total is None else total + term
    return total


def advance(y: Tensor, h: Tensor, weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """Return ``y`` plus ``h`` times the weighted sum of slopes."""
    total = combine(weights, slopes)
    return y.clone() if total is None else y + h * total


def _step_function(method: Method, *, makes_first: bool, estimates: bool) -> Traced:
    """Return a function that takes a step.

    Parameters
    ----------
    method : Method
    makes_first : bool
        Whether it evaluates the first slope, too.
    estimates : bool
        Whether it estimates the error.
    """
    num_stages = len(method.rows)

    def step(
        func: Any,
        packing: Packing,
        args: tuple[Any, ...],
        rtol: Tensor,
        atol: Tensor,
        norm: Callable[[Tensor], Any] | None,
        y: Tensor,
        span: Tensor,
        first_slope: Tensor | None,
    ) -> Any:
        times, h = stage_times(method.nodes, span, y), span[1].to(y.dtype)
        slopes, states = [], []
        for i in range(num_stages):
            state = advance(y, h, method.rows[i], slopes) if i else y
            if i:
                states.append(state)
            if i or makes_first:
                slopes.append(slope_of(func, packing, args, times[i], state).to(y.dtype))
            else:
                slopes.append(first_slope)
        y1 = advance(y, h, method.b, slopes)
        ratio = None
        if estimates:
            if method.is_fsal:
                slopes.append(slope_of(func, packing, args, times[-1], y1).to(y.dtype))
            error = h * combine(method.error, slopes)
            scale = atol + rtol * torch.maximum(y.abs(), y1.abs())
            ratio = torch.as_tensor(norm(error / scale))
        return y1, ratio, *states, *(slopes if makes_first else slopes[1:])

    return step


def _replay_function(method: Method) -> Traced:
    """Return a function that makes the stage states of a step again, but for the first."""
    num_stages = len(method.rows)

    def replay(
        func: Any, packing: Packing, args: tuple[Any, ...], y: Tensor, span: Tensor
    ) -> list[Tensor]:
        times, h = stage_times(method.nodes, span, y), span[1].to(y.dtype)
        slopes, states, state = [], [], y
        for i in range(1, num_stages):
            slopes.append(slope_of(func, packing, args, times[i - 1], state).to(y.dtype))
            state = advance(y, h, method.rows[i], slopes)
            states.append(state)
        return states

    return replay


# --- graphs, and what becomes of them -----------------------------------------------------------


class UnknownLeafError(RuntimeError):
    """A graph reads a tensor that would get no gradient."""


class Shortcut(NamedTuple):
    """A graph, and how to call it without the guards.

    Attributes
    ----------
    graph : callable
    inputs : list
        What it was called with, but for what changes from call to call.
    places : tuple of (int, int)
        Which input each of the arguments that change is.
    outputs : tuple of (int, object)
        For each thing returned, which output of the graph it is, or -1 and itself.
    """

    graph: Traced
    inputs: list[Any]
    places: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, Any], ...]

    @staticmethod
    def of(called: "Called", changing: Sequence[Tensor | None], result: Sequence[Any]) -> "Shortcut | None":
        """Read it off a call with guards; None if something is there twice, or unheard of."""
        given = [id(x) for x in called.inputs]
        made = {id(x): place for place, x in enumerate(called.outputs)}
        tensors = [id(x) for x in changing if x is not None]
        if len(set(given)) < len(given) or len(set(tensors)) < len(tensors):
            return None
        if any(isinstance(x, Tensor) and id(x) not in made for x in result):
            return None
        places = tuple(
            (place, given.index(id(x))) for place, x in enumerate(changing) if id(x) in given
        )
        inputs = list(called.inputs)
        for _, place in places:
            inputs[place] = None
        outputs = tuple((made[id(x)], None) if isinstance(x, Tensor) else (-1, x) for x in result)
        return Shortcut(called.graph, inputs, places, outputs)

    def __call__(self, changing: Sequence[Tensor | None]) -> list[Any]:
        """Call the graph."""
        inputs = list(self.inputs)
        for place, target in self.places:
            inputs[target] = changing[place]
        made = self.graph(*inputs)
        return [x if place < 0 else made[place] for place, x in self.outputs]


class Called(NamedTuple):
    """The latest call of a graph."""

    graph: Traced
    inputs: tuple[Any, ...]
    outputs: Sequence[Any]


class Graphs:
    """The compiled functions of one ``f``.

    Attributes
    ----------
    failure : str or None
        Why ``f`` is not compiled: it is said once.
    num_graphs : int
        How many were made so far.
    called : Called or None
        The latest call with guards.
    most_leaves : int or None
        How many tensors that require a gradient a new graph may read.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._functions: dict[Any, Traced] = {}
        self.failure: str | None = None
        self.num_graphs = 0
        self.called: Called | None = None
        self.most_leaves: int | None = None

    def function(self, key: Any, make: Callable[[], Traced]) -> Traced:
        """Return a compiled function, made when it is asked for first."""
        if key not in self._functions:
            self._functions[key] = torch.compile(
                _with_own_code(make()), fullgraph=True, dynamic=False, backend=self._make_graph
            )
        return self._functions[key]

    def _make_graph(self, traced: torch.fx.GraphModule, inputs: list[Any]) -> Traced:
        num_leaves = sum(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        if self.most_leaves is not None and num_leaves > self.most_leaves:
            raise UnknownLeafError("f reads a tensor that it did not read at first")
        self.num_graphs += 1
        if self._backend == "inductor":
            graph = compile_by_inductor(traced, inputs)
        else:
            graph = torch._dynamo.lookup_backend(self._backend)(traced, inputs)

        def call(*given: Any) -> Any:
            outputs = graph(*given)
            self.called = Called(graph, given, outputs)
            return outputs

        return call


def _with_own_code(function: Traced) -> Traced:
    """Return a copy of a function whose code is an object of its own: graphs are kept by that."""
    copy = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


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
        self.makes_first = not control.is_adaptive
        self._norm: Norm | None = None
        self._outer_norm: Norm | None = None
        self._tolerances = (torch.zeros(()), torch.zeros(()))
        if isinstance(control, ErrorControl):
            # The processes that agree on steps talk to each other, which a graph is not to do.
            self._outer_norm = None if control.agreement is None else control.norm
            self._norm = control.norm if control.agreement is None else _itself
            self._tolerances = (_tolerance(control.rtol), _tolerance(control.atol))
        self._is_alone = is_alone
        self._shortcuts: dict[Any, Shortcut] = {}
        self._gave_up = False

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
            f"options={{'compile': ...}}: {reason}. The solve goes on without graphs: as exact, but "
            f"not as fast. TORCH_LOGS=graph_breaks shows where in f; or leave the option out.",
            CompileFallbackWarning,
            stacklevel=2,
        )

    def begin(
        self, evaluate: Callable[[Tensor], Tensor], y0: Tensor, recorder: Recorder | None
    ) -> None:
        """Get ready for a solve: ``f`` is looked at by one evaluation without a graph, its first.

        Parameters
        ----------
        evaluate : callable
            Evaluates ``f`` at the start: not called where that was done already.
        y0 : Tensor, shape (n,)
        recorder : Recorder or None
            Told that evaluations within graphs are not announced to it.
        """
        if self.makes_first:
            evaluate(y0)
        if recorder is not None and recorder.settle():
            if self.makes_first:
                recorder.rewind()
            self.give_up("f draws random numbers, which a graph would not draw again")
        if y0.is_complex():
            self.give_up("the state is complex, which the compiler does not support", forever=False)
        if self.field.packing.layouts is not None:
            self.give_up("the state is a DTensor, which was not tried in a graph", forever=False)

    def span_of(self, stretch: Stretch, y: Tensor) -> Tensor:
        """Return a stretch as a tensor: t0, h, t1, and the sides as signed directions, shape (5,)."""
        direction = math.copysign(1.0, stretch.h)
        values = (
            stretch.t0,
            stretch.h,
            stretch.t1,
            stretch.first_side * direction,
            stretch.end_side * direction,
        )
        dtype = self._time_dtype or y.dtype.to_real()
        return torch.tensor(values, dtype=dtype, device=y.device)

    def attempt(self, slopes: Slopes, y: Tensor, stretch: Stretch) -> Taken | None:
        """Take a step, its first slope being there; None if there is no graph for it.

        Parameters
        ----------
        slopes : Slopes
            The others are put there.
        y : Tensor, shape (n,)
        stretch : Stretch
        """
        first = None if self.makes_first else slopes.k[0]
        result = self._step(y, stretch, first, estimates=self._norm is not None)
        if result is None:
            return None
        y1, ratio, *made = result
        s = len(self.method.rows)
        for i, slope in enumerate(made[s - 1 :], start=0 if self.makes_first else 1):
            slopes.put(i, slope)
        if ratio is not None and self._outer_norm is not None:
            ratio = self._outer_norm(ratio)
        return Taken([y, *made[: s - 1]], y1, 0.0 if ratio is None else abs(float(ratio)))

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
        makes_first = first_slope is None
        make = functools.partial(
            _step_function, self.method, makes_first=makes_first, estimates=estimates
        )
        result = self.call(
            ("step", self.name, makes_first, estimates),
            make,
            (*self._tolerances, self._norm if estimates else None),
            (y, self.span_of(stretch, y), first_slope),
        )
        if result is not None:
            self.field.nfe += len(result) - 1 - len(self.method.rows)
        return result

    def replay(self, y: Tensor, stretch: Stretch) -> list[Tensor] | None:
        """Make the stage states of a step again; None if there is no graph for it."""
        make = functools.partial(_replay_function, self.method)
        states = self.call(("replay", self.name), make, (), (y, self.span_of(stretch, y)))
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
        *,
        most_leaves: int | None = None,
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
        """
        shortcut = self._shortcuts.get(key)
        if shortcut is not None:
            return shortcut(changing)
        if not self.are_on or is_transformed():
            return None
        field, graphs = self.field, self.graphs
        function, graphs.most_leaves = graphs.function(key, make), most_leaves
        try:
            with torch._dynamo.config.patch(
                trace_autograd_ops=True, side_effect_replay_policy="error"
            ):
                result: Sequence[Any] = function(
                    field.func, field.packing, field.args, *fixed, *changing
                )
        except torch._dynamo.exc.TorchDynamoException as error:
            self.give_up(f"f cannot be compiled ({_first_words(error)})")
            return None
        except torch._dynamo.exc.FailOnRecompileLimitHit:
            limit = torch._dynamo.config.recompile_limit
            self.give_up(
                f"f was compiled for {limit} shapes or values of what it reads, and is met with "
                f"another: see torch._dynamo.config.recompile_limit",
                forever=False,
            )
            return None
        called, graphs.called = graphs.called, None
        if self._is_alone and called is not None:
            shortcut = Shortcut.of(called, changing, result)
            if shortcut is not None:
                self._shortcuts[key] = shortcut
        return result

    def forget(self) -> None:
        """Let go of what the graphs were called with: guards are checked again by the next call."""
        self._shortcuts.clear()


def _itself(x: Tensor) -> Tensor:
    return x


def _tolerance(given: float | Tensor) -> Tensor:
    return torch.as_tensor(given, dtype=torch.float64)


def _first_words(error: Exception) -> str:
    """Return the first line of a message that says something, and its explanation, if any."""
    cause = getattr(error, "inner_exception", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    words = lines[:1] or [type(cause).__name__]
    mark = "Explanation: "
    return ": ".join(words + [line.removeprefix(mark) for line in lines if line.startswith(mark)])
