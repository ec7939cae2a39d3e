"""Hamiltonian networks: a mechanical system's energy, learned from its observed paths.

The published networks are fitted to the paths' slopes; here, as in the works that followed, the
paths themselves are solved for and compared.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from .inner_gradient import inner_gradient
from .losses import TrajectoryError
from .networks import Mlp
from .oscillators import PENDULUM, SPRING, Oscillator, observed
from .problem import Problem, ProblemInstance, parse_size

NUM_OUTPUTS = 30
DURATION = 3.0
GAIN = math.sqrt(3.0)  # the variance of the orthogonal weights that the authors start from


class HamiltonianField(nn.Module):
    """d(q, p)/dt = (∂H/∂p, -∂H/∂q), H a network with tanh between its layers.

    References
    ----------
    Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks, NeurIPS 2019, arXiv:1906.01563.
    """

    def __init__(self, widths: tuple[int, ...], gain: float, generator: torch.Generator) -> None:
        super().__init__()
        self.network = Mlp(widths, nn.Tanh(), gain, generator, has_last_bias=False)

    def energy(self, states: Tensor) -> Tensor:
        """Return H, shape (batch,), of states (q, p), shape (batch, 2)."""
        energy: Tensor = self.network(states)
        return energy.squeeze(-1)

    def forward(self, t: Tensor, states: Tensor) -> Tensor:
        """Return the states' slopes, shape (batch, 2)."""
        gradient_q, gradient_p = inner_gradient(self.energy, states).unbind(dim=-1)
        return torch.stack((gradient_p, -gradient_q), dim=-1)


def make_hamiltonian(size: str, seed: int, *, system: Oscillator) -> ProblemInstance:
    """Make the problem of a size such as ``"200-200 batch 25"``, the hidden widths."""
    network, batch_size = parse_size(size)
    hidden = network.split("-")
    if not all(width.isdecimal() and int(width) > 0 for width in hidden):
        raise ValueError(
            f"network {network!r} is not hidden widths joined by '-', for example '200-200'"
        )
    generator = torch.Generator().manual_seed(seed)
    times = torch.linspace(0.0, DURATION, NUM_OUTPUTS, dtype=torch.float64)
    observations = observed(system.paths(times, batch_size, generator), generator)
    return ProblemInstance(
        field=HamiltonianField((2, *map(int, hidden), 1), GAIN, generator),
        y0=observations[0].clone(),
        t=times,
        loss=TrajectoryError(observations),
        batch_size=batch_size,
    )


def _hamiltonian_problem(name: str, system: Oscillator) -> Problem:
    return Problem(
        name=name,
        source=(
            "Hamiltonian neural network (Greydanus et al., NeurIPS 2019, arXiv:1906.01563), "
            "fitted to observed paths; these are computed here, with the published energies, "
            "times and noise."
        ),
        version="1",
        data="computed",
        rtol=1e-5,
        atol=1e-6,
        first_step=0.05,
        make=partial(make_hamiltonian, system=system),
        published_size="200-200 batch 25",
    )


HAMILTONIAN_SPRING = _hamiltonian_problem("hamiltonian-spring", SPRING)
HAMILTONIAN_PENDULUM = _hamiltonian_problem("hamiltonian-pendulum", PENDULUM)
