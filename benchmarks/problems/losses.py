"""Losses that several problems share."""

from __future__ import annotations

from torch import Tensor, nn


class TrajectoryError(nn.Module):
    """Mean squared distance to a known trajectory, over all outputs, samples and components."""

    trajectory: Tensor

    def __init__(self, trajectory: Tensor) -> None:
        super().__init__()
        self.register_buffer("trajectory", trajectory)

    def forward(self, ys: Tensor) -> Tensor:
        """Return the scalar loss of states in the trajectory's shape."""
        return (ys - self.trajectory).square().mean()


class AbsoluteTrajectoryError(TrajectoryError):
    """Mean absolute distance to a known trajectory, over all outputs, samples and components."""

    def forward(self, ys: Tensor) -> Tensor:
        """Return the scalar loss of states in the trajectory's shape."""
        return (ys - self.trajectory).abs().mean()
