"""A training step of a benchmark problem, alone or inside one of PyTorch's engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from ..discretization import Discretization, adaptive, fixed_grid
from ..methods import METHODS, Solve
from ..problems import PROBLEMS, Problem, ProblemInstance
from ..problems.problem import parse_size

DTYPE = torch.float32


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes
    ----------
    problem, size, method : str
        As in the other benchmarks; the size's batch is that of one process.
    steps : int or None
        Of a fixed grid of rk4; None for error control by dopri5.
    sync_steps : bool
        Whether the processes take the same adaptive steps; symadj only.
    """

    problem: str
    size: str
    method: str
    steps: int | None
    sync_steps: bool = False

    @property
    def definition(self) -> Problem:
        """The problem of that name."""
        return PROBLEMS[self.problem]

    def shared_out(self, num_processes: int) -> Work:
        """Return the work of one of so many processes that share the batch.

        Raises
        ------
        ValueError
            If they cannot share it evenly.
        """
        network, batch = parse_size(self.size)
        if batch % num_processes:
            raise ValueError(
                f"a batch of {batch} cannot be shared out evenly to {num_processes} processes; "
                f"give a size whose batch is a multiple of {num_processes}"
            )
        return replace(self, size=f"{network} batch {batch // num_processes}")

    def instance(self, rank: int, device: torch.device) -> ProblemInstance:
        """Return the problem with a rank's own data, and the network of rank 0."""
        own = self.definition.make(self.size, rank)
        if rank:
            parameters = dict(self.definition.make(self.size, 0).field.named_parameters())
            with torch.no_grad():
                for name, param in own.field.named_parameters():
                    param.copy_(parameters[name])
        return own.to(DTYPE, device)

    def discretization(self, instance: ProblemInstance, group: dist.ProcessGroup) -> Discretization:
        """Return how time is discretized on the processes of a group."""
        if self.steps is not None:
            duration = float(instance.t[-1] - instance.t[0])
            return fixed_grid("rk4", num_steps=self.steps, duration=duration)
        problem = self.definition
        how = adaptive(
            "dopri5", rtol=problem.rtol, atol=problem.atol, first_step=problem.first_step
        )
        if self.sync_steps:
            options: Mapping[str, Any] = {**how.options, "sync_steps": group}
            how = replace(how, options=MappingProxyType(options))
        return how


class Training(nn.Module):
    """A problem as a model: its forward pass solves and returns the loss."""

    def __init__(self, instance: ProblemInstance, solve: Solve, how: Discretization) -> None:
        super().__init__()
        self.field, self.loss = instance.field, instance.loss
        self._instance, self._solve, self._how = instance, solve, how

    def forward(self) -> Tensor:
        """Return the loss."""
        ys = self._solve(self.field, self._instance.y0, self._instance.t, self._how)
        loss: Tensor = self.loss(ys)
        return loss


def _alone(model: Training, group: dist.ProcessGroup) -> nn.Module:
    return model


def _replicated(model: Training, group: dist.ProcessGroup) -> nn.Module:
    # Noise that lies in a buffer is each sample's own.
    return DistributedDataParallel(model, process_group=group, broadcast_buffers=False)


def _sharded(model: Training, group: dist.ProcessGroup) -> nn.Module:
    device = next(model.parameters()).device.type
    fully_shard(model, mesh=DeviceMesh.from_group(group, device))
    return model


ENGINES: Mapping[str, Callable[[Training, dist.ProcessGroup], nn.Module]] = MappingProxyType(
    {"ddp": _replicated, "fsdp": _sharded, "none": _alone}
)
"""What reduces the gradients; "none": nothing, for what the rest costs."""


def model_of(
    work: Work, engine: str, group: dist.ProcessGroup, device: torch.device
) -> tuple[nn.Module, Training]:
    """Return a model in its engine, and the model itself; only on the processes of the group."""
    instance = work.instance(dist.get_rank(group), device)
    solve = METHODS[work.method].solver("default")
    model = Training(instance, solve, work.discretization(instance, group))
    return ENGINES[engine](model, group), model
