"""asv benchmarks of the MLP family, along the axes of the report."""

from __future__ import annotations

from ..methods import ON_REQUEST
from ..sizes import selected_size_set
from .cells import Cache, CaseSuite, measured_cells


class MlpOrder(CaseSuite, problem="mlp-order", tableaus=("bosh3", "dopri5", "dopri8")):
    """Cost against the order of the tableau, adaptive steps."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class MlpOrderFixedGrid(CaseSuite, problem="mlp-order", tableaus=("heun2", "rk4")):
    """Cost of orders 2 and 4, on a fixed grid."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class MlpSize(CaseSuite, problem="mlp-size"):
    """Cost against the size of the network."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class MlpSteps(CaseSuite, problem="mlp-steps"):
    """Cost against the number of time steps."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class MlpCheckpoints(CaseSuite, problem="mlp-checkpoints"):
    """Cost against what is kept of the trajectory."""

    def setup_cache(self) -> Cache:
        """Measure all cases."""
        return self.measured_cells()


class _AboveFloor:
    """symadj's steps one by one and as graphs, taking turns."""

    def setup_cache(self) -> Cache:
        """Measure all cases of both classes; asv runs what they inherit once."""
        return measured_cells(selected_size_set().cases("mlp-overhead"))


class MlpOverhead(_AboveFloor, CaseSuite, problem="mlp-overhead", methods=("symadj",)):
    """Cost above the floor: the bare evaluations and products, and what has to be kept."""


class MlpOverheadCompiled(_AboveFloor, CaseSuite, problem="mlp-overhead", methods=ON_REQUEST):
    """The same with compiled steps."""
