"""Whole steps as one compiled graph each, for networks so small that Python is what they cost."""

import functools
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from symadj.forward.calls import MOST_LIGHT_BYTES, Asked, Calls
from symadj.forward.carried import Recorder
from symadj.forward.controller import EqualSteps, ErrorControl, FixedGrid
from symadj.forward.field import Field
from symadj.forward.graphs import Graphs, Shortcut, graphs_of
from symadj.forward.inductor import version
from symadj.forward.scalars import scalar
from symadj.forward.slopes import SlopeList
from symadj.forward.traced import Method, replay_function, step_function
from symadj.forward.trajectory import Stretch
from symadj.forward.transforms import outside_transforms
from symadj.tableaus import ButcherTableau
from symadj.types import Norm

CODES = {torch.float32: "f", torch.float64: "d"}
"""What `array.array` calls the dtypes of times."""


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
    calls : Calls
        By which graphs are called.
    keeping : KeepingSteps or None
        What takes the steps in this one's place, as long as it is on.
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
        self.field = field
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
        self._own = self._step_key(makes_first=self.makes_first, estimates=self.estimates)
        self.calls = Calls(field, graphs, self._own, is_alone=is_alone)
        self.keeping: KeepingSteps | None = None

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
        slope = None if self.calls.is_foreseen else evaluate(y0)
        if recorder is not None and recorder.settle():
            if self.makes_first:
                recorder.rewind()
            self.calls.give_up("f draws random numbers, which a graph would not draw again")
        if y0.is_complex():
            reason = "the state is complex, which the compiler does not support"
            self.calls.give_up(reason, forever=False)
        if self.field.packing.layouts is not None:
            reason = "the state is a DTensor, which was not tried in a graph"
            self.calls.give_up(reason, forever=False)
        if self.makes_first:
            return None
        if self.is_light_from(y0, t0):
            self.field.nfe += slope is None
            return self.first_slope(y0, t0) if needs_slope else None
        return evaluate(y0) if slope is None else slope

    def is_light_from(self, y0: Tensor, t0: float) -> bool:
        """Return whether a step by a graph takes no longer than Python for a call of ``f``."""
        is_fit = self.calls.is_alone and self.keeping is None and self._outer_norm is None
        if not is_fit or not self.method.is_fsal or y0.nbytes > MOST_LIGHT_BYTES:
            return False
        if self.calls.shortcut(self._own) is not None:
            return self.calls.is_light
        call = self._step_call(self._nowhere(y0, t0), estimates=True)
        # It may be compiled now, and called for that: what f keeps is not to know of it.
        buffers = () if self.calls.is_foreseen else self.field.buffers()
        found = [(buffer, version(buffer), buffer.clone()) for buffer in buffers]
        self.calls.prepare(call)
        for buffer, before, value in found:
            if version(buffer) != before:
                buffer.copy_(value)
        return self.calls.is_light

    def first_slope(self, y0: Tensor, t0: float) -> Tensor:
        """Return ``f`` at the start, where a light graph was asked for it by `begin`.

        A step of no size ends where it starts: its end slope is ``f`` there.
        """
        result = self.calls.call(self._step_call(self._nowhere(y0, t0), estimates=True))
        if result is None:
            raise RuntimeError("`begin` has not found a light graph")
        slope: Tensor = result[-1]
        return slope

    def _nowhere(self, y0: Tensor, t0: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return state, span and first slope of a step of no size."""
        return y0, self.span_of(Stretch(t0, t0, 0.0, 0, 0), y0), torch.zeros_like(y0)

    def foresees(self, y0: Tensor) -> bool:
        """Return whether graphs will take the steps, of which it is known what they read.

        Parameters
        ----------
        y0 : Tensor, shape (n,)
            The initial state.
        """
        if y0.is_inference():
            return False
        span = _blank("span", 5, self.time_dtype(y0), y0.device)
        slope = None if self.makes_first else _blank("slope", y0.numel(), y0.dtype, y0.device)
        return self.calls.foresee(self._step_call((y0, span, slope), estimates=self.estimates))

    def span_of(self, stretch: Stretch, y: Tensor) -> Tensor:
        """Return t0, h and t1 of a stretch, and its sides as signed directions, shape (5,)."""
        return self._numbers(stretch.span, y)

    def spans_of(self, stretches: Sequence[Stretch], y: Tensor) -> Tensor:
        """Return what `span_of` does for many stretches, made at once: a row for each."""
        values = [value for stretch in stretches for value in stretch.span]
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
        result = self.calls.call(self._step_call(changing, estimates=estimates))
        if result is not None:
            self.field.nfe += len(result) - 1 - len(self.method.rows)
        return result

    def _step_call(
        self, changing: tuple[Tensor, Tensor, Tensor | None], *, estimates: bool
    ) -> Asked:
        """Return what is asked for a step from a state, with its span and first slope."""
        makes_first = changing[2] is None
        return Asked(
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

    @property
    def is_known(self) -> bool:
        """Whether the guards of a step have been checked."""
        return self.calls.shortcut(self._own) is not None

    def forget(self) -> None:
        """Let go of what belongs to a solve."""
        self.keeping = None
        self.calls.forget()

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
        return self.calls.lean(
            self._own, (0, 1, *end_slope, *states, *inner), in_workspace=(1, *inner)
        )

    def count(self, num_steps: int) -> None:
        """Count the evaluations of so many steps that `lean_step` has taken."""
        s, is_end_made = len(self.method.rows), self._norm is not None and self.method.is_fsal
        self.field.nfe += num_steps * (s - (not self.makes_first) + is_end_made)

    def replay(self, y: Tensor, stretch: Stretch) -> list[Tensor] | None:
        """Make the stage states of a step again; None if there is no graph for it."""
        make = functools.partial(replay_function, self.method)
        states = self.calls.call(Asked(self.replay_key, make, (), (y, self.span_of(stretch, y))))
        if states is None:
            return None
        self.field.nfe += len(states)
        return [y, *states]


@functools.lru_cache(maxsize=64)
def _blank(name: str, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a vector in whose place another will be: guards look at its form alone."""
    with outside_transforms(), torch.inference_mode(False):
        return torch.zeros(size, dtype=dtype, device=device)


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
