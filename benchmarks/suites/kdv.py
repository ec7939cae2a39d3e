"""asv benchmarks of the Korteweg-de Vries equation, learned."""

from __future__ import annotations

from ..methods import BASIC_PEERS
from ..sizes import selected_size_set
from .cells import Cache, CaseSuite, measured_cells


class Kdv(CaseSuite, problem="kdv"):
    """An energy network that learns the KdV equation, with dopri8."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class _Together:
    """The settings of symadj's dial and every other method, taking turns."""

    def setup_cache(self) -> Cache:
        """Measure all cases of both classes; asv runs what they inherit once."""
        return measured_cells(selected_size_set().cases("kdv-checkpoints"))


class KdvCheckpoints(_Together, CaseSuite, problem="kdv-checkpoints", methods=("symadj",)):
    """Cost against the number of checkpoints, with rk4."""


class KdvCheckpointsPeers(_Together, CaseSuite, problem="kdv-checkpoints", methods=BASIC_PEERS):
    """Every other method on the same steps."""
