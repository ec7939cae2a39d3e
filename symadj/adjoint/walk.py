"""Accepted steps taken again, as they were: sizes, times, random numbers, every bit."""

from functools import cached_property

from torch import Tensor

from symadj.errors import StageSolveError
from symadj.forward.carried import Replayer
from symadj.forward.slopes import make_slopes
from symadj.forward.solve import Integration
from symadj.forward.step import implicit_rk_step, rk_step
from symadj.forward.trajectory import StepGrid
from symadj.forward.weights import Clock, Weights


class Walk:
    """Takes the steps of a solve again, without a graph.

    Parameters
    ----------
    ivp : Integration
    steps : sequence of Step
    like : Tensor, shape (n,)
        A state.
    replayer : Replayer or None
        Brings back what ``f`` carried.

    Attributes
    ----------
    steps : sequence of Step
    num_steps : int
        Steps taken so far.
    """

    def __init__(
        self, ivp: Integration, steps: StepGrid, like: Tensor, replayer: Replayer | None
    ) -> None:
        self._ivp, self._like, self._replayer = ivp, like, replayer
        self.steps = steps
        self.num_steps = 0

    @cached_property
    def _clock(self) -> Clock:
        return self._ivp.clock(self._like)

    @cached_property
    def _weights(self) -> Weights:
        return Weights(self._ivp.tableau, self._like)

    def step(
        self, index: int, y: Tensor, *, want_stages: bool = False
    ) -> tuple[list[Tensor], Tensor]:
        """Take a step from the state at its start.

        Parameters
        ----------
        index : int
        y : Tensor, shape (n,)
        want_stages : bool

        Returns
        -------
        list of Tensor, Tensor
            ``y`` and the stage states other than it, if wanted; and the state at its end.
        """
        step, tableau, field = self.steps[index], self._ivp.tableau, self._ivp.field
        h = step.stretch.h
        self.num_steps += 1
        compiled = self._ivp.compiled
        taken = None if compiled is None else compiled.retake(y, step.stretch)
        if taken is not None:
            return taken.stage_states if want_stages else taken.stage_states[:1], taken.y1
        self._weights.scale(h)
        slopes, times = make_slopes(y, self._weights), self._clock(step.stretch)
        kept = [y]
        keep_state = (lambda _, stage_state: kept.append(stage_state)) if want_stages else None
        if not tableau.is_explicit:
            y1 = implicit_rk_step(field, tableau, slopes, y, times, h, keep_state)
            if y1 is None:
                raise StageSolveError(
                    f"The stage equations of the step from t = {step.stretch.t0!r} were solved "
                    f"before, and are not again: f is not the same function any more.",
                    t=step.stretch.t0,
                    y=field.packing.unpack(y),
                )
            return kept, y1
        if self._replayer is not None:
            self._replayer.expect(step.carried[: tableau.num_evaluations])
        slopes.put(0, field(times[0], y))
        return kept, rk_step(field, slopes, y, times, keep_state)
