"""asv benchmarks of FFJORD's normalizing flows, on the data sets that people cite."""

from __future__ import annotations

from .cells import Cache, CaseSuite


class CnfPower(CaseSuite, problem="cnf-power"):
    """Five stacked flows of POWER, 6 numbers a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class CnfGas(CaseSuite, problem="cnf-gas"):
    """Five stacked flows of GAS, 8 numbers a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class CnfHepmass(CaseSuite, problem="cnf-hepmass"):
    """Ten stacked flows of HEPMASS, 21 numbers a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class CnfMiniboone(CaseSuite, problem="cnf-miniboone"):
    """One wide flow of MINIBOONE, 43 numbers a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class CnfBsds300(CaseSuite, problem="cnf-bsds300"):
    """Two wide flows of BSDS300, 63 numbers a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class CnfMnist(CaseSuite, problem="cnf-mnist"):
    """The multi-scale convolutional flow of MNIST, 784 pixels a sample."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()
