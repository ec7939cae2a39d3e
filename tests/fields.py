"""Vector fields and comparisons that the tests of the solver share."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A small network of state and time."""

    def __init__(self, dim: int = 3, width: int = 6, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.inner = nn.Linear(dim + 1, width, dtype=dtype)
        self.outer = nn.Linear(width, dim, dtype=dtype)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        time = t.expand(*y.shape[:-1], 1)
        return self.outer(torch.tanh(self.inner(torch.cat([y, time], dim=-1))))


class HamiltonianNetwork(nn.Module):
    """A field that is itself a gradient, so that autograd runs inside f."""

    def __init__(self, dim: int = 4) -> None:
        super().__init__()
        self.energy = nn.Sequential(
            nn.Linear(dim, 8, dtype=torch.float64),
            nn.Tanh(),
            nn.Linear(8, 1, dtype=torch.float64),
        )

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        with torch.enable_grad():
            y = y if y.requires_grad else y.requires_grad_()
            (gradient,) = torch.autograd.grad(self.energy(y).sum(), y, create_graph=True)
        q, p = gradient.chunk(2, dim=-1)
        return torch.cat([p, -q], dim=-1)


class Flow(nn.Module):
    """A continuous normalizing flow: state and log-density, the trace taken exactly by autograd."""

    def __init__(self, dim: int = 2) -> None:
        super().__init__()
        self.network = Network(dim)

    def forward(self, t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, _ = state
        with torch.enable_grad():
            x = x.requires_grad_() if x.is_leaf else x
            slope = self.network(t, x)
            trace = torch.zeros(len(x), dtype=x.dtype)
            for i in range(x.shape[1]):
                (row,) = torch.autograd.grad(slope[:, i].sum(), x, create_graph=True)
                trace = trace + row[:, i]
        return slope, -trace


def relative_difference(left: Tensor, right: Tensor) -> float:
    """Return ``|left - right| / |right|``, in the Euclidean norm; 0 where both are zero."""
    scale = right.norm().item()
    difference = (left - right).norm().item()
    return difference / scale if scale else difference


def gradient_error(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Return ``|left - right| / |right|`` of the gradients as a whole, as one long vector.

    A part may be small by cancellation, and then not be known to its own last digit.
    """
    joined = (torch.cat([part.reshape(-1) for part in parts]) for parts in (left, right))
    return relative_difference(*joined)


def largest_difference(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """Return the largest relative difference between tensors in the same places."""
    return max(relative_difference(a, b) for a, b in zip(left, right, strict=True))
