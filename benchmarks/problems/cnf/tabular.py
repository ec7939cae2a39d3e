"""FFJORD on the five tabular data sets, each with the architecture that was best there.

Left out: the end time, 1 here, which FFJORD learns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ..datasets.tabular import BSDS300, GAS, HEPMASS, MINIBOONE, POWER, TabularDataset
from ..problem import Problem, ProblemInstance, parse_size, parse_widths
from .concatsquash import ConcatSquashVelocity
from .hutchinson import HutchinsonFlow, NegativeLogLikelihood
from .stacked import StackedField

GAIN = 1.0
ACTIVATIONS = {"tanh": nn.Tanh, "softplus": nn.Softplus}


@dataclass(frozen=True)
class Architecture:
    """A row of FFJORD's table of hyperparameters.

    Attributes
    ----------
    num_flows : int
        Stacked flows.
    num_layers : int
        Hidden layers of each.
    multiplier : int
        Width of the hidden layers, in units of the data's dimension.
    activation : {"tanh", "softplus"}
        Between the layers.
    batch_size : int
        Samples.
    """

    num_flows: int
    num_layers: int
    multiplier: int
    activation: str
    batch_size: int

    def size(self, dim: int) -> str:
        """Return the problem's size in the data's dimension."""
        widths = (dim, *[self.multiplier * dim] * self.num_layers, dim)
        return f"{self.num_flows} x {'-'.join(map(str, widths))} batch {self.batch_size}"


def make_tabular_flow(
    size: str, seed: int, *, dataset: TabularDataset, activation: str
) -> ProblemInstance:
    """Make the flow of a size such as ``"5 x 6-60-60-60-6 batch 10000"``."""
    network, batch_size = parse_size(size)
    match = re.fullmatch(r"([1-9]\d*) x (\S+)", network)
    if match is None:
        raise ValueError(
            f"network {network!r} is not of the form '<flows> x <widths>', "
            "for example '5 x 6-60-60-60-6'"
        )
    widths = parse_widths(match[2], num_inputs=dataset.dim)
    generator = torch.Generator().manual_seed(seed)
    y0 = dataset.minibatch(batch_size, generator)
    field = StackedField(
        [
            HutchinsonFlow(
                ConcatSquashVelocity(widths, ACTIVATIONS[activation](), GAIN, generator),
                torch.randn(y0.shape, generator=generator, dtype=torch.float64),
            )
            for _ in range(int(match[1]))
        ]
    )
    return ProblemInstance(
        field=field,
        y0=(y0, torch.zeros(batch_size, dtype=torch.float64)),
        t=field.t,
        loss=NegativeLogLikelihood(),
        batch_size=batch_size,
        jump_t=field.jump_t,
    )


def tabular_flow_problem(name: str, dataset: TabularDataset, best: Architecture) -> Problem:
    """Return the problem, with the data that are there now."""
    source = dataset.source()
    return Problem(
        name=name,
        source=(
            "Continuous normalizing flow, FFJORD (Grathwohl et al., ICLR 2019, arXiv:1810.01367, "
            f"appendix B), on {dataset.folder.upper()} as preprocessed for MAF (Papamakarios et "
            "al., NeurIPS 2017, arXiv:1705.07057)"
            + ("." if source == "real" else "; numbers of its shape, as its files are not there.")
        ),
        version=f"1-{source}",
        data=source,
        rtol=1e-6,
        atol=1e-8,
        first_step=0.05,
        make=partial(make_tabular_flow, dataset=dataset, activation=best.activation),
        published_size=best.size(dataset.dim),
    )


CNF_POWER = tabular_flow_problem("cnf-power", POWER, Architecture(5, 3, 10, "tanh", 10_000))
CNF_GAS = tabular_flow_problem("cnf-gas", GAS, Architecture(5, 3, 20, "tanh", 1_000))
CNF_HEPMASS = tabular_flow_problem(
    "cnf-hepmass", HEPMASS, Architecture(10, 2, 10, "softplus", 10_000)
)
CNF_MINIBOONE = tabular_flow_problem(
    "cnf-miniboone", MINIBOONE, Architecture(1, 2, 20, "softplus", 1_000)
)
CNF_BSDS300 = tabular_flow_problem(
    "cnf-bsds300", BSDS300, Architecture(2, 3, 20, "softplus", 10_000)
)
