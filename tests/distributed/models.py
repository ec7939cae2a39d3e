"""Models with a solve inside, their data, and the gradients that several processes should have."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

import symadj
from tests.distributed.world import World
from tests.fields import Network

TIMES = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
ROUNDING = 1e-13
"""Relative; what sums in another order may differ by here."""


class Model(nn.Module):
    """An encoder, a solve and a head."""

    def __init__(self, dim: int = 4, width: int = 8, **arguments: Any) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, dim, dtype=torch.float64)
        self.field = Network(dim, width)
        self.head = nn.Linear(dim, 2, dtype=torch.float64)
        self.arguments = arguments

    def forward(self, x: Tensor) -> Tensor:
        times = TIMES.to(x.device)
        ys = symadj.odeint(self.field, self.encoder(x), times, **self.arguments)
        return self.head(ys[1:].mean(0))


def batch_of(world: World, per_rank: int = 5) -> list[Tensor]:
    """Return every rank's share of the data, the same on each rank."""
    generator = torch.Generator().manual_seed(7)
    data = torch.randn(world.size, per_rank, 3, dtype=torch.float64, generator=generator)
    # So that the ranks need different steps.
    return [(share * (1 + 3 * rank)).to(world.device) for rank, share in enumerate(data)]


def loss_of(outputs: Tensor) -> Tensor:
    return outputs.square().mean()


def expected_gradients(
    model: nn.Module, shares: Sequence[Tensor], loss: Callable[[Tensor], Tensor] = loss_of
) -> list[Tensor]:
    """Return the mean over the shares of the gradients of one process."""
    model.zero_grad()
    for share in shares:
        (loss(model(share)) / len(shares)).backward()
    return gradients_of(model.parameters())


def gradients_of(params: Iterable[nn.Parameter]) -> list[Tensor]:
    """Return whole gradients: those of shards are gathered; zeros where there is none."""
    gradients = []
    for param in params:
        gradient = torch.zeros_like(param) if param.grad is None else param.grad
        gradients.append(gradient.full_tensor() if isinstance(gradient, DTensor) else gradient)
    return gradients


def assert_equal_to_rounding(
    left: Sequence[Tensor], right: Sequence[Tensor], rounding: float = ROUNDING
) -> None:
    for place, (a, b) in enumerate(zip(left, right, strict=True)):
        difference = (a - b).norm().item()
        scale = torch.cat([part.flatten() for part in right]).norm().item()
        assert difference <= rounding * scale, f"gradient {place}: {difference} of {scale}"


def assert_raises(call: Callable[[], object], kind: type[Exception], words: str) -> None:
    """Raise unless a call does, and says so; pytest is not in these processes."""
    try:
        call()
    except kind as error:
        assert words in str(error), error  # noqa: PT017 - not pytest's own process
    else:
        raise AssertionError(f"no {kind.__name__} was raised")
