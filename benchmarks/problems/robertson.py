"""Robertson's chemical kinetics, stiff, with rates and a correction to be learned.

    A -> B  (0.04)        B + B -> B + C  (3e7)        B + C -> A + C  (1e4)

B never exceeds 4e-5, so every concentration is measured in units of its own. Published solutions
reach to 1e5 time units, with implicit solvers. An explicit one is held to steps of about 1e-3 by
stability alone, long after the solution has become smooth, so the interval here is short: long
enough that the steps are stability's for nine tenths of it, and not more.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from .losses import AbsoluteTrajectoryError
from .networks import Mlp
from .problem import Problem, ProblemInstance, parse_size, parse_widths
from .rk4 import rk4_states

RATES = (0.04, 3e7, 1e4)
SCALES = (1.0, 3.65e-5, 1.0)  # the largest concentrations, in this problem's units
STOICHIOMETRY = ((-1.0, 0.0, 1.0), (1.0, -1.0, -1.0), (0.0, 1.0, 0.0))  # species by reactions
DURATION = 0.1
PUBLISHED_DURATION = 1e5
FIRST_OUTPUT = 1e-4
NUM_OUTPUTS = 10  # after the initial one, at logarithmically equal distances
MAX_STEP = 1e-4  # of the data, two and a half times below stability's limit
RATE_ERROR = 0.1  # of the logarithms of the rates that the field starts from
GAIN = 1.0


def reaction_speeds(y: Tensor) -> Tensor:
    """Return (y1, y2², y2 y3), which the rates multiply, of concentrations y, both (batch, 3)."""
    y1, y2, y3 = y.unbind(dim=-1)
    return torch.stack((y1, y2.square(), y2 * y3), dim=-1)


class KineticField(nn.Module):
    """Scaled concentrations u moved by the three reactions, their rates corrected by a network.

    du/dt = S (k exp(network(u)) speeds(y)) / scale with y = scale u. The stoichiometry S is known,
    so that matter is conserved; the logarithms of the rates k and the network are learned.

    Parameters
    ----------
    widths : tuple of int
        Widths of the network, 3 at either end.
    gain : float
        Factor on the network's initial weights.
    generator : torch.Generator
        Source of the initial weights and of the error of the initial rates.

    References
    ----------
    Robertson, in Numerical Analysis, ed. Walsh, Academic Press 1966; Hairer & Wanner II, (IV.1.4).
    Kim, Ji, Deng, Ma & Rackauckas, Chaos 31, 2021, doi:10.1063/5.0060697: the scales, the network
    of six hidden layers of five units with GELU, and the loss. They learn the whole right-hand
    side by it; a fresh network of that kind is not stiff, hence the known reactions here.
    """

    scales: Tensor
    stoichiometry: Tensor

    def __init__(self, widths: tuple[int, ...], gain: float, generator: torch.Generator) -> None:
        super().__init__()
        rates = torch.tensor(RATES, dtype=torch.float64)
        error = torch.randn(len(RATES), generator=generator, dtype=torch.float64)
        self.log_rates = nn.Parameter(rates.log() + RATE_ERROR * error)
        self.correction = Mlp(widths, nn.GELU(), gain, generator)
        self.register_buffer("scales", torch.tensor(SCALES, dtype=torch.float64))
        self.register_buffer("stoichiometry", torch.tensor(STOICHIOMETRY, dtype=torch.float64))

    def forward(self, t: Tensor, u: Tensor) -> Tensor:
        """Return du/dt, shape (batch, 3)."""
        rates = torch.exp(self.log_rates + self.correction(u))
        reactions = rates * reaction_speeds(self.scales * u)
        return reactions @ self.stoichiometry.mT / self.scales


@lru_cache(maxsize=4)
def robertson_data(batch_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Compute concentrations from initial ones near the classical (1, 0, 0).

    Returns
    -------
    times : Tensor, shape (NUM_OUTPUTS + 1,), float64
    concentrations : Tensor, shape (NUM_OUTPUTS + 1, batch_size, 3), float64
        Unscaled.
    """
    generator = torch.Generator().manual_seed(seed)
    y0 = torch.zeros(batch_size, 3, dtype=torch.float64)
    y0[:, 2] = 0.2 * torch.rand(batch_size, generator=generator, dtype=torch.float64)
    y0[:, 0] = 1 - y0[:, 2]
    exponents = torch.linspace(
        math.log10(FIRST_OUTPUT), math.log10(DURATION), NUM_OUTPUTS, dtype=torch.float64
    )
    times = torch.cat((torch.zeros(1, dtype=torch.float64), 10**exponents))
    rates = torch.tensor(RATES, dtype=torch.float64)
    stoichiometry = torch.tensor(STOICHIOMETRY, dtype=torch.float64)
    states = rk4_states(
        lambda y: rates * reaction_speeds(y) @ stoichiometry.mT,
        y0,
        times=times,
        max_step=MAX_STEP,
    )
    return times, torch.stack(states)


def make_robertson(size: str, seed: int) -> ProblemInstance:
    """Make the problem of a size such as ``"3-5-5-5-5-5-5-3 batch 8"``."""
    network, batch_size = parse_size(size)
    widths = parse_widths(network, num_inputs=3)
    times, concentrations = robertson_data(batch_size, seed)
    scaled = concentrations / torch.tensor(SCALES, dtype=torch.float64)
    return ProblemInstance(
        field=KineticField(widths, GAIN, torch.Generator().manual_seed(seed)),
        y0=scaled[0].clone(),
        t=times.clone(),
        loss=AbsoluteTrajectoryError(scaled),
        batch_size=batch_size,
    )


ROBERTSON = Problem(
    name="robertson",
    source=(
        "Robertson's stiff kinetics, known reactions with learned rates and a network's "
        "correction, scaled as by Kim et al. (Chaos 31, 2021, doi:10.1063/5.0060697); up to "
        f"t = {DURATION:g} of the published {PUBLISHED_DURATION:g}, as far as explicit methods "
        "go; data computed here."
    ),
    version="1",
    data="computed",
    rtol=1e-4,
    atol=1e-6,
    first_step=1e-5,
    make=make_robertson,
    published_size="3-5-5-5-5-5-5-3 batch 1",
)
