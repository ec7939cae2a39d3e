"""The packages that methods need, none of which has to be there: a missing one is named."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from .method import MissingPackageError


@dataclass(frozen=True)
class Package:
    """A package, as it is imported and as it is installed."""

    module: str
    install: str


BENCH = "install the project with its 'bench' extra: pip install -e '.[bench]'"
PEERS = "install the project with its 'peers' extra: pip install -e '.[bench,peers]'"

SYMADJ = Package("symadj", BENCH)
TORCHDIFFEQ = Package("torchdiffeq", BENCH)
TORCHODE = Package("torchode", PEERS)
DIFFRAX = Package("diffrax", PEERS)
JAX = Package("jax", PEERS)
TORCHDYN = Package(
    "torchdyn.numerics.odeint",
    "install its numerical half, as the whole brings another torch: "
    "pip install --no-deps torchdyn==1.0.6 torchcde torchsde attrs trampoline",
)
PAPER = Package(
    "torch_symplectic_adjoint",
    "it has no licence and is on no index; put a copy of "
    "github.com/tksmatsubara/symplectic-adjoint-method on the path",
)


def load(package: Package) -> ModuleType:
    """Import a package where it is used: some take seconds, and most processes need none.

    Raises
    ------
    MissingPackageError
        If it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(package.module)
    except ImportError as error:
        raise MissingPackageError(
            f"this method needs the package {package.module}, which is not installed ({error}); "
            f"{package.install}"
        ) from error
