"""asv benchmarks of real data, the digits of scikit-learn."""

from __future__ import annotations

from .cells import Cache, CaseSuite


class DigitsClassifier(CaseSuite, problem="digits-classifier"):
    """An ODE classifier of handwritten digits."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class DigitsCnf(CaseSuite, problem="digits-cnf"):
    """A continuous normalizing flow of handwritten digits."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()
