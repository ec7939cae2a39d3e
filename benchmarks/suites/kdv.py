"""asv benchmarks of the Korteweg-de Vries equation, learned."""

from __future__ import annotations

from .cells import Cache, CaseSuite


class Kdv(CaseSuite, problem="kdv"):
    """An energy network that learns the KdV equation, with dopri8."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()
