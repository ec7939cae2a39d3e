"""One curve in the making: iterations by one method, and evaluations that are the same for all."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..discretization import adaptive
from ..gradient import flatten, forward, relative_error
from ..meters import CountingField, Stopwatch
from ..methods import BASELINE, METHODS
from ..problems import ProblemInstance, State
from ..references import step_gradient
from .curves import DTYPES, GRID, Curve
from .tasks import Task, TaskData

EVALUATION_ATOL_OF_RTOL = 0.01


@dataclass(frozen=True)
class Point:
    """Where a curve is after some iterations.

    Attributes
    ----------
    iteration : int
        Iterations done.
    wall_seconds : float
        Of the solves and gradients so far; what every method does alike is not in it.
    nfe_forward, nfe_backward : int
        Evaluations of the field so far.
    training_loss : float or None
        Of the last batch, by the training's own solver.
    held_out_loss : float
        Of the held-out data, in float64, by the same tight solver for every curve.
    relative_step_gradient_error : float
        Of the gradient on the next batch, against float64 backpropagation over the same steps.
    """

    iteration: int
    wall_seconds: float
    nfe_forward: int
    nfe_backward: int
    training_loss: float | None
    held_out_loss: float
    relative_step_gradient_error: float


class _Counted(nn.Module):
    """A field that counts its evaluations, for next to nothing."""

    def __init__(self, field: nn.Module) -> None:
        super().__init__()
        self.field = field
        self.count = 0

    def forward(self, t: Tensor, y: State) -> State:
        self.count += 1
        slope: State = self.field(t, y)
        return slope


class Trainer:
    """Trains one curve.

    The weights and Adam are kept in float64; each iteration rounds a copy of the weights, solves
    and differentiates in the curve's precision, and adds up in float64. So curves differ by their
    gradients and by nothing else.

    Attributes
    ----------
    points : list of Point
        The evaluations so far.
    failure : str or None
        Why the curve ended early.
    """

    def __init__(
        self, curve: Curve, task: Task, data: TaskData, num_grid_steps: int, device: torch.device
    ) -> None:
        self.curve = curve
        self.points: list[Point] = []
        self.failure: str | None = None
        self._task = task
        self._data = data
        self._num_grid_steps = num_grid_steps
        self._device = device
        self._solve = METHODS[curve.method].solver("default")
        self._optimizer = torch.optim.Adam(data.trained.parameters(), lr=task.learning_rate)
        self._iteration = 0
        self._wall_seconds = 0.0
        self._nfe_forward = self._nfe_backward = 0
        self._loss: float | None = None

    def step(self) -> None:
        """Do one iteration, unless the curve has ended."""
        self._unless_ended(self._step)

    def evaluate(self) -> None:
        """Add a point, unless the curve has ended."""
        self._unless_ended(self._evaluate)

    def _unless_ended(self, act: Any) -> None:
        if self.failure is None:
            try:
                act()
            except Exception:  # whatever a method raises ends its own curve
                self.failure = traceback.format_exc()

    def _working(self) -> ProblemInstance:
        instance = self._data.batch(self._data.trained, self._iteration)
        return instance.to(DTYPES[self.curve.dtype], self._device)

    def _step(self) -> None:
        instance = self._working()
        field = _Counted(instance.field)
        how = self.curve.discretization(self._task, instance, self._num_grid_steps)
        stopwatch = Stopwatch(self._device)
        forward_pass = forward(replace(instance, field=field), self._solve, how)
        forward_pass = replace(
            forward_pass, inputs=(*forward_pass.inputs, *instance.loss.parameters())
        )
        nfe_forward = field.count
        gradient = forward_pass.gradient()
        stopwatch.mark()
        self._wall_seconds += sum(stopwatch.wall_seconds)
        self._nfe_forward += nfe_forward
        self._nfe_backward += field.count - nfe_forward
        self._loss = float(forward_pass.loss.detach())
        self._descend(gradient)
        self._iteration += 1

    def _descend(self, gradient: tuple[Tensor, ...]) -> None:
        weights = list(self._data.trained.parameters())
        for weight, part in zip(weights, gradient[-len(weights) :], strict=True):
            weight.grad = part.to("cpu", torch.float64)
            if not weight.grad.isfinite().all():
                raise FloatingPointError(f"the gradient of iteration {self._iteration} overflowed")
        self._optimizer.step()

    def _evaluate(self) -> None:
        self.points.append(
            Point(
                iteration=self._iteration,
                wall_seconds=self._wall_seconds,
                nfe_forward=self._nfe_forward,
                nfe_backward=self._nfe_backward,
                training_loss=self._loss,
                held_out_loss=held_out_loss(self._task, self._data, self._device),
                relative_step_gradient_error=self._gradient_error(),
            )
        )

    def _gradient_error(self) -> float:
        instance = self._working()
        how = self.curve.discretization(self._task, instance, self._num_grid_steps)
        counter = CountingField(instance.field, is_adaptive=self.curve.setting != GRID)
        forward_pass = forward(replace(instance, field=counter), self._solve, how)
        counter.phase = "backward"
        gradient = flatten(forward_pass.gradient())
        return relative_error(gradient, step_gradient(instance, how, counter.accepted_steps))

    def state(self) -> dict[str, Any]:
        """Return everything that a later process needs to go on."""
        return {
            "weights": self._data.trained.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "iteration": self._iteration,
            "wall_seconds": self._wall_seconds,
            "nfe": (self._nfe_forward, self._nfe_backward),
            "loss": self._loss,
            "points": [asdict(point) for point in self.points],
            "failure": self.failure,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._data.trained.load_state_dict(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._iteration = state["iteration"]
        self._wall_seconds = state["wall_seconds"]
        self._nfe_forward, self._nfe_backward = state["nfe"]
        self._loss = state["loss"]
        self.points = [Point(**point) for point in state["points"]]
        self.failure = state["failure"]


@torch.no_grad()
def held_out_loss(task: Task, data: TaskData, device: torch.device) -> float:
    """Return the loss of the held-out data, solved tightly in float64 whatever the training did."""
    instance = data.held_out(data.trained).to(torch.float64, device)
    how = adaptive(
        task.evaluation_tableau,
        rtol=task.evaluation_rtol,
        atol=EVALUATION_ATOL_OF_RTOL * task.evaluation_rtol,
        first_step=task.first_step,
    )
    ys = METHODS[BASELINE].solver("default")(instance.field, instance.y0, instance.t, how)
    return float(instance.loss(ys))
