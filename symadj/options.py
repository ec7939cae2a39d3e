"""The caller's ``options``, read once into a controller, a grid and an interpolant."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import NoneType
from typing import Any

import torch

from symadj.errors import (
    InvalidInputError,
    UnknownMethodError,
    UnknownOptionError,
    UnsupportedError,
)
from symadj.tableaus import TABLEAUS, ButcherTableau

COMMON_DEFAULTS: Mapping[str, Any] = {
    "progress": False,
    "restore_buffers": False,
    "graphs": 1,
    "snapshot_dtype": None,
    "compile": False,
}
"""Options of every method."""

ADAPTIVE_DEFAULTS: Mapping[str, Any] = {
    "first_step": None,
    "min_step": 0.0,
    "max_step": float("inf"),
    "safety": 0.9,
    "ifactor": 10.0,
    "dfactor": 0.2,
    "max_num_steps": 2**31 - 1,
    "norm": None,
    "step_t": None,
    "jump_t": None,
    "dtype": torch.float64,
    "pcoeff": 0.0,
    "icoeff": 1.0,
    "dcoeff": 0.0,
    "output": "interpolate",
    "sync_steps": False,
    **COMMON_DEFAULTS,
}
"""Options of an adaptive method and what they are when not given, as in torchdiffeq."""

FIXED_DEFAULTS: Mapping[str, Any] = {
    "step_size": None,
    "grid_constructor": None,
    "interp": "linear",
    "perturb": False,
    "max_num_steps": None,
    **COMMON_DEFAULTS,
}
"""Options of a fixed-step method and what they are when not given, as in torchdiffeq."""

DEFAULT_MAX_EVENT_STEPS = 20_000
"""Fixed steps after which an event is given up, as in torchdiffeq."""

MULTISTEP = ("explicit_adams", "implicit_adams", "fixed_adams", "scipy_solver")
"""Methods of torchdiffeq that are no Runge-Kutta methods."""

_POSITIVE = ("first_step", "max_step", "safety", "ifactor", "dfactor", "max_num_steps", "step_size")


def tableau_named(method: str | None) -> ButcherTableau:
    """Return the tableau of a method; None is dopri5.

    Raises
    ------
    UnknownMethodError
        If there is none of that name.
    """
    name = "dopri5" if method is None else method
    if name in MULTISTEP:
        raise UnknownMethodError(
            f"method={name!r} is no Runge-Kutta method (Adams' are multistep, SciPy's leave "
            f"torch), so it has no symplectic adjoint. Use torchdiffeq.odeint or odeint_adjoint "
            f"for it, or one of {', '.join(TABLEAUS)}."
        )
    if name not in TABLEAUS:
        raise UnknownMethodError(
            f"method={method!r} is not known{_guess(str(name), TABLEAUS)}. "
            f"Allowed are {', '.join(TABLEAUS)}."
        )
    return TABLEAUS[name]


PLAIN_TYPES = frozenset({NoneType, bool, int, float, str})
"""Options of these are read once, and the next time are what they were found to be."""


def read_options(tableau: ButcherTableau, options: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Fill up a caller's options with the method's defaults.

    Raises
    ------
    UnknownOptionError
        If the method does not take one of them.
    InvalidInputError
        If a value cannot be right.
    """
    given = dict(options or {})
    if PLAIN_TYPES.issuperset(map(type, given.values())):
        # With their types, as 1 and True are equal.
        read: Mapping[str, Any] = _read_plain(tableau, *((n, type(x), x) for n, x in given.items()))
    else:
        read = _read(tableau, given)
    _check_compile(tableau, read)
    return read


class PlainOptions(dict[str, Any]):
    """Options with the defaults filled in, one object for equal ones: not to be changed."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


@lru_cache(maxsize=256)
def _read_plain(tableau: ButcherTableau, *given: tuple[str, type, Any]) -> PlainOptions:
    return PlainOptions(_read(tableau, {name: value for name, _, value in given}))


def _read(tableau: ButcherTableau, given: Mapping[str, Any]) -> dict[str, Any]:
    allowed = ADAPTIVE_DEFAULTS if tableau.is_adaptive else FIXED_DEFAULTS
    kind = "adaptive" if tableau.is_adaptive else "fixed-step"
    for name in given:
        if name not in allowed:
            raise UnknownOptionError(
                f"options[{name!r}] is not an option of the {kind} method {tableau.name!r}"
                f"{_guess(str(name), allowed)}. Allowed are {', '.join(allowed)}."
            )
    read = {**allowed, **given}
    for name in _POSITIVE:
        value = read.get(name)
        if value is not None and not float(value) > 0:
            raise InvalidInputError(
                f"options[{name!r}] is {value!r}, and must be positive: give a size without sign, "
                f"in whichever direction time runs."
            )
    if not tableau.is_adaptive:
        _check_fixed(read)
        return read
    if read["output"] not in ("interpolate", "step"):
        raise InvalidInputError(
            f"options['output'] is {read['output']!r}. Allowed are 'interpolate' (steps pass over "
            f"the output times) and 'step' (a step ends at each)."
        )
    if read["dtype"] not in (torch.float32, torch.float64):
        raise InvalidInputError(
            f"options['dtype'] is {read['dtype']!r}. Allowed are torch.float64 and, for devices "
            f"without it, torch.float32: it is the dtype of time."
        )
    if not 0 <= float(read["min_step"]) <= float(read["max_step"]):
        raise InvalidInputError(
            f"options['min_step'] = {read['min_step']!r} and options['max_step'] = "
            f"{read['max_step']!r}: 0 <= min_step <= max_step must hold."
        )
    return read


def _check_compile(tableau: ButcherTableau, read: Mapping[str, Any]) -> None:
    choice = read["compile"]
    if choice is False:
        return
    if not (choice is True or isinstance(choice, str)):
        raise InvalidInputError(
            f"options['compile'] is {choice!r}. Allowed are True (steps as graphs, by torch's "
            f"default compiler), False, and the name of a backend of torch.compile."
        )
    if choice is not True:
        backends = torch._dynamo.list_backends(None)
        if choice not in backends:
            raise InvalidInputError(
                f"options['compile'] is {choice!r}{_guess(choice, backends)}, and names no backend "
                f"of torch.compile. Allowed are True, False, {', '.join(backends)}."
            )
    if not tableau.is_explicit:
        raise UnsupportedError(
            f"options['compile'] is for explicit methods, and {tableau.name!r} is implicit: leave "
            f"it out, or take a method such as 'dopri5'."
        )
    for name in ("graphs", "restore_buffers"):
        if read[name] != COMMON_DEFAULTS[name]:
            raise UnsupportedError(
                f"options[{name!r}] = {read[name]!r} and options['compile'] were given, which do "
                f"not go together: evaluations within a graph cannot be told apart. Give one."
            )


def _check_fixed(read: Mapping[str, Any]) -> None:
    if read["interp"] not in ("linear", "cubic"):
        raise InvalidInputError(
            f"options['interp'] is {read['interp']!r}. Allowed are 'linear' and 'cubic'."
        )
    if read["step_size"] is not None and read["grid_constructor"] is not None:
        raise InvalidInputError(
            "options['step_size'] and options['grid_constructor'] both say where the steps are: "
            "give one of them, or neither to step from output to output."
        )
    constructor: Callable[..., Any] | None = read["grid_constructor"]
    if constructor is not None and not callable(constructor):
        raise InvalidInputError(
            f"options['grid_constructor'] is a {type(constructor).__name__}. Allowed is a "
            f"callable (func, y0, t) -> grid, from t[0] to t[-1]."
        )


def _guess(name: str, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
