"""asv benchmarks of the networks that made neural ODEs known."""

from __future__ import annotations

from .cells import Cache, CaseSuite


class OdeNet(CaseSuite, problem="odenet"):
    """A convolutional ODE block that classifies digits."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class LatentOde(CaseSuite, problem="latent-ode"):
    """A latent ODE of irregularly observed spirals."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class Spiral(CaseSuite, problem="spiral"):
    """The spiral demonstration."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()
