"""Where the states kept for the backward pass lie, and as what: `make_store` chooses."""

from symadj.adjoint.storage.factory import Place, make_store
from symadj.adjoint.storage.store import HeldBytes, SnapshotStore

__all__ = ["HeldBytes", "Place", "SnapshotStore", "make_store"]
