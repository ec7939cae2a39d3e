"""The registry: every method by its name in the results."""

from __future__ import annotations

from . import (
    checkpointed,
    foreign,
    of_diffrax,
    of_paper,
    of_symadj,
    of_torchdiffeq,
    of_torchode,
    reversible,
)
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


for module in (of_symadj, of_torchdiffeq, checkpointed):
    for built_in in module.METHODS:
        register(built_in)

BASIC = tuple(name for name in METHODS if name != _SEMINORM)
"""The methods of the paper's tables; only with them is every axis scaled at every size."""

BASIC_PEERS = tuple(name for name in BASIC if not name.startswith("symadj"))
"""Those of them that are not ours."""

for peer in (reversible, of_torchode, of_diffrax, of_paper):
    for built_in in peer.METHODS:
        register(built_in)
for plugged_in in foreign.foreign_methods():
    register(plugged_in)
