"""The registry: every method by its name in the results."""

from __future__ import annotations

import os

from . import (
    checkpointed,
    foreign,
    of_diffrax,
    of_paper,
    of_symadj,
    of_torchdiffeq,
    of_torchdyn,
    of_torchode,
    reversible,
)
from .foreign import METHODS_VARIABLE, named_method
from .method import Method

_SEMINORM = "torchdiffeq-seminorm"

METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Add a method.

    Raises
    ------
    ValueError
        If there is one of that name, whose results would be taken for the new one's.
    """
    if method.name in METHODS:
        raise ValueError(f"there is a method {method.name!r} already; give this one another name")
    METHODS[method.name] = method


def plug_in(text: str) -> str:
    """Add the method of a text such as ``"package.module:function"``, and return its name.

    The environment is told as well: that is where the processes that measure look. A method that is
    there already, from there perhaps, stays.
    """
    method = named_method(text)
    if method.name not in METHODS:
        register(method)
        known = os.environ.get(METHODS_VARIABLE, "")
        os.environ[METHODS_VARIABLE] = f"{known},{text}" if known else text
    return method.name


for module in (of_symadj, of_torchdiffeq, checkpointed):
    for built_in in module.METHODS:
        register(built_in)

BASIC = tuple(name for name in METHODS if name != _SEMINORM)
"""The methods of the paper's tables; only with them is every axis scaled at every size."""

BASIC_PEERS = tuple(name for name in BASIC if not name.startswith("symadj"))
"""Those of them that are not ours."""

register(of_symadj.COMPILED)
ON_REQUEST = (of_symadj.COMPILED.name,)
"""Methods that are run where they are named only: for each case they compile for a minute."""

for peer in (reversible, of_torchode, of_torchdyn, of_diffrax, of_paper):
    for built_in in peer.METHODS:
        register(built_in)
for plugged_in in foreign.foreign_methods():
    register(plugged_in)
