"""The recurrent encoder of a latent ODE: from irregular observations to an initial state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .initial_weights import draw_uniform


class RecurrentEncoder(nn.Module):
    """Reads observations from the last to the first, each with the time to the one read before.

    A recurrent network with tanh, as the one of the publication; the time is its third input,
    which makes irregular observations readable. Where a sample is not observed, it waits.

    Parameters
    ----------
    num_values : int
        Numbers in an observation.
    num_hidden, num_latent : int
        Width of the network, and of the latent state.
    gain : float
        Factor on the initial weights.
    generator : torch.Generator
        Source of the initial weights.

    References
    ----------
    Chen et al., NeurIPS 2018, arXiv:1806.07366, section 5; Rubanova, Chen & Duvenaud, Latent ODEs
    for Irregularly-Sampled Time Series, NeurIPS 2019, arXiv:1907.03907.
    """

    def __init__(
        self,
        num_values: int,
        num_hidden: int,
        num_latent: int,
        gain: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.update = nn.Linear(num_values + 1 + num_hidden, num_hidden, dtype=torch.float64)
        self.readout = nn.Linear(num_hidden, 2 * num_latent, dtype=torch.float64)
        draw_uniform(self, gain, generator)

    def forward(self, times: Tensor, values: Tensor, is_observed: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the state at the first time, both (batch, num_latent).

        Parameters
        ----------
        times : Tensor, shape (num_times,)
        values : Tensor, shape (num_times, batch, num_values)
        is_observed : Tensor, shape (num_times, batch), bool
        """
        batch_size = values.shape[1]
        hidden = values.new_zeros(batch_size, self.update.out_features)
        read_before = times[-1].expand(batch_size)
        for i in reversed(range(len(times))):
            gap = (read_before - times[i])[:, None]
            updated = torch.tanh(self.update(torch.cat((values[i], gap, hidden), dim=-1)))
            hidden = torch.where(is_observed[i][:, None], updated, hidden)
            read_before = torch.where(is_observed[i], times[i], read_before)
        mean, log_variance = self.readout(hidden).chunk(2, dim=-1)
        return mean, log_variance
