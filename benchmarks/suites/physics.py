"""asv benchmarks of learned physical systems."""

from __future__ import annotations

from .cells import Cache, CaseSuite


class CahnHilliard(CaseSuite, problem="cahn-hilliard"):
    """An energy network that learns the Cahn-Hilliard equation, with dopri8."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class HamiltonianSpring(CaseSuite, problem="hamiltonian-spring"):
    """A Hamiltonian network of a mass on a spring."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class HamiltonianPendulum(CaseSuite, problem="hamiltonian-pendulum"):
    """A Hamiltonian network of a pendulum."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class Robertson(CaseSuite, problem="robertson"):
    """Stiff kinetics with learned rates, as far as explicit methods go."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()
