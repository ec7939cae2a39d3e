"""Other libraries' signatures, so that changing one import is the whole change."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from symadj.errors import InvalidInputError
from symadj.odeint import odeint
from symadj.options import tableau_named
from symadj.types import EventFunction, State, VectorField


def odeint_adjoint(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: EventFunction | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: Mapping[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
    **others: Any,
) -> Any:
    """Solve as `symadj.odeint` does; takes all that ``torchdiffeq.odeint_adjoint`` takes.

    Parameters
    ----------
    adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options
        They choose the steps of torchdiffeq's backward solve. There is none here: the steps of the
        forward solve are transposed. Giving one warns, and changes nothing.
    func, y0, t, rtol, atol, method, options, event_fn, adjoint_params, **others
        As for `symadj.odeint`.

    Returns
    -------
    Tensor, structure of Tensor, or pair of a time and such
        As `symadj.odeint`: shape (T, *shape).

    Raises
    ------
    SymadjError
        See `symadj.errors`.
    """
    unused = {
        "adjoint_rtol": adjoint_rtol,
        "adjoint_atol": adjoint_atol,
        "adjoint_method": adjoint_method,
        "adjoint_options": adjoint_options,
    }
    given = [name for name, value in unused.items() if value is not None]
    if given:
        warnings.warn(
            f"{', '.join(given)}: without effect, as the backward pass transposes the steps of the "
            f"forward solve and takes none of its own. Leave out what is named.",
            stacklevel=2,
        )
    return odeint(
        func,
        y0,
        t,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        event_fn=event_fn,
        adjoint_params=adjoint_params,
        **others,
    )


SYMPLECTIC_ADJOINT_NAMES = {"rk4": "rk4_classic", "rk38": "rk4"}
"""Methods that the paper's code calls by another name."""


def odeint_symplectic_adjoint(
    func: VectorField,
    y0: State,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    event_fn: EventFunction | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """Solve as `symadj.odeint` does; takes what the code of Matsubara et al. (2021) takes.

    A step ends at each output time, as it does there (``options={"output": "step"}``), and
    ``"rk4"`` is the classical method, ``"rk38"`` the 3/8 rule.

    Parameters
    ----------
    func, y0, t, rtol, atol, method, options, event_fn, adjoint_params
        As for `symadj.odeint`.

    Returns
    -------
    Tensor, structure of Tensor, or pair of a time and such
        As `symadj.odeint`: shape (T, *shape).

    Raises
    ------
    SymadjError
        See `symadj.errors`.
    """
    method = SYMPLECTIC_ADJOINT_NAMES.get(method or "dopri5", method)
    if tableau_named(method).is_adaptive:
        options = {"output": "step", **(options or {})}
    return odeint(
        func,
        y0,
        t,
        rtol=rtol,
        atol=atol,
        method=method,
        options=options,
        event_fn=event_fn,
        adjoint_params=adjoint_params,
    )


def odeint_event(
    func: VectorField,
    y0: State,
    t0: Tensor,
    *,
    event_fn: EventFunction,
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> Any:
    """Solve until an event, as ``torchdiffeq.odeint_event``.

    Parameters
    ----------
    func, y0
        As for `symadj.odeint`.
    t0 : Tensor, shape ()
        The initial time.
    event_fn : callable
        ``event_fn(t, y)``: the solve ends where one of its entries becomes zero.
    reverse_time : bool
        Whether to look for the event before ``t0``.
    odeint_interface : callable
        `symadj.odeint` or `symadj.odeint_adjoint`.
    **kwargs
        As for `symadj.odeint`.

    Returns
    -------
    event_t : Tensor, shape ()
        The time of the event, with its gradient.
    ys : Tensor or structure of Tensor, shape (2, *shape)
        The states at ``t0`` and at the event, with theirs.

    Raises
    ------
    SymadjError
        See `symadj.errors`.

    Examples
    --------
    A ball falls from a height of 5 m; ``t = sqrt(2 h / g)``, ``dt/dh = t / (2 h)``.

    >>> import torch
    >>> from symadj import odeint_event
    >>> height = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    >>> y0 = torch.stack([height, torch.zeros_like(height)])
    >>> fall = lambda t, y: torch.stack([y[1], -9.81 + 0 * y[0]])
    >>> t, y = odeint_event(fall, y0, torch.tensor(0.0), event_fn=lambda t, y: y[0])
    >>> t.backward()
    >>> round(t.item(), 4), round(height.grad.item(), 4)
    (1.0096, 0.101)
    """
    if odeint_interface not in (odeint, odeint_adjoint, odeint_symplectic_adjoint):
        raise InvalidInputError(
            f"odeint_interface is {odeint_interface!r}. Allowed are symadj.odeint and "
            f"symadj.odeint_adjoint: the gradient of the event's time comes from them."
        )
    start = torch.as_tensor(t0).reshape(1)
    t = torch.cat([start, start.detach() + (-1.0 if reverse_time else 1.0)])
    return odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
