"""torchode: backpropagation through its own steps.

Its way is one step size for each sample, with the time as a vector; the fields here take one time.
So the whole batch is one sample of torchode's: the steps are then controlled by the error of the
whole state, as everybody else's, with torchdiffeq's norm. It differs in the last step, which it
cuts at the end instead of interpolating.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .flat import FlatState
from .method import Method, NotOfferedError
from .packages import TORCHODE, load
from .pieces import piece_by_piece

STEPS = {"euler": "Euler", "heun2": "Heun", "dopri5": "Dopri5", "tsit5": "Tsit5"}


def _backprop(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    torchode = load(TORCHODE)
    if how.tableau not in STEPS:
        raise NotOfferedError(f"torchode has no {how.tableau}; it has {', '.join(STEPS)}")
    flat = FlatState.of(y0)
    on_vectors = flat.field(field)
    term = torchode.ODETerm(
        lambda time, y: on_vectors(time[0].to(y.dtype), y[0])[None], with_stats=False
    )
    if "first_step" in how.options:
        size = how.options["first_step"]
        controller = torchode.IntegralController(
            atol=how.atol, rtol=how.rtol, term=term, norm=flat.mixed_norm
        )
        name = "callback_accept_step"
    else:
        size = how.options["step_size"]
        controller = torchode.FixedStepController()
        name = "callback_step"
    _report_steps(controller, getattr(field, name, None), getattr(field, _REJECT, None))
    solver = torchode.AutoDiffAdjoint(
        getattr(torchode, STEPS[how.tableau])(term=term),
        controller,
        backprop_through_step_size_control=False,  # the gradient of the steps that were taken
    )
    start = flat.flatten(y0)[None]
    problem = torchode.InitialValueProblem(start, t_eval=t[None])
    solution = solver.to(start.device).solve(problem, dt0=t.new_tensor([float(size)]))
    if int(solution.status[0]) != 0:
        raise RuntimeError(f"torchode gave up: {torchode.Status(int(solution.status[0])).name}")
    return flat.unflatten(solution.ys[0])


_REJECT = "callback_reject_step"


def _report_steps(
    controller: Any, accepted: Callable[..., None] | None, rejected: Callable[..., None] | None
) -> None:
    """Tell the field's callbacks of every attempted step."""
    if accepted is None:
        return
    adapt = controller.adapt_step_size

    def adapt_and_tell(t0: Tensor, dt: Tensor, y0: Tensor, *rest: Any) -> Any:
        result = adapt(t0, dt, y0, *rest)
        tell = accepted if bool(result[0].all()) else rejected
        if tell is not None:
            tell(t0[0], y0[0], dt[0])
        return result

    controller.adapt_step_size = adapt_and_tell


METHODS = (Method("torchode", piece_by_piece(_backprop), takes_same_steps=False),)
