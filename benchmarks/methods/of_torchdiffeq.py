"""torchdiffeq: backpropagation, and the continuous adjoint with two error norms."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..discretization import Discretization
from ..problems import State
from .method import Method
from .packages import TORCHDIFFEQ, load

BASELINE = "torchdiffeq-backprop"
"""The method that times are compared with."""


def _arguments(how: Discretization) -> dict[str, Any]:
    return {
        "rtol": how.rtol,
        "atol": how.atol,
        "method": how.tableau,
        "options": dict(how.options),
    }


def _backprop(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    """Backpropagation through every stage of every attempted step."""
    ys: State = load(TORCHDIFFEQ).odeint(field, y0, t, **_arguments(how))
    return ys


def _continuous_adjoint(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    """The adjoint ODE, solved backward together with the state, with the forward's tolerances."""
    ys: State = load(TORCHDIFFEQ).odeint_adjoint(field, y0, t, **_arguments(how))
    return ys


def _seminorm_adjoint(field: nn.Module, y0: State, t: Tensor, how: Discretization) -> State:
    """The same, its steps not controlled by the error of the parameters' gradient.

    Kidger, Chen & Lyons, "Hey, that's not an ODE", ICML 2021, arXiv:2009.09457. On a fixed grid
    there is no control, so it is the same.
    """
    ys: State = load(TORCHDIFFEQ).odeint_adjoint(
        field, y0, t, **_arguments(how), adjoint_options={**how.options, "norm": "seminorm"}
    )
    return ys


METHODS = (
    Method(BASELINE, _backprop),
    Method("torchdiffeq-adjoint", _continuous_adjoint, is_exact=False),
    Method("torchdiffeq-seminorm", _seminorm_adjoint, is_exact=False),
)
