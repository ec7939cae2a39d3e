"""What a solve takes on each rank: what it takes alone, and the engine's own buffers."""

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from benchmarks.meters import peak_bytes
from tests.distributed.ddp_checks import Solve
from tests.distributed.models import loss_of
from tests.distributed.world import World
from tests.fields import Network

DIM, WIDTH, BATCH = 64, 512, 64


def _field_too(field: nn.Module) -> nn.Module:
    return fully_shard(Solve(fully_shard(field)))


def _alone(field: nn.Module) -> nn.Module:
    return Solve(field)


def _replicated(field: nn.Module) -> nn.Module:
    return DistributedDataParallel(Solve(field))


FEW, MANY = 4, 12
"""Steps."""


def peak_bytes_are_those_of_one_process_and_the_engine(world: World) -> None:
    field = Network(DIM, WIDTH).to(world.device)
    y0 = torch.randn(BATCH, DIM, dtype=torch.float64, device=world.device)
    state_bytes = y0.nbytes
    param_bytes = sum(param.nbytes for param in field.parameters())
    alone, replicated, field_too = (
        _peaks(wrap, field, y0) for wrap in (_alone, _replicated, _field_too)
    )
    offloaded = _peaks(_field_too, field, y0, checkpoints=3, offload="disk")
    # All is measured: a rank that fails now leaves none waiting.
    for engine in (alone, replicated, field_too):
        # A step more costs the state at its start, and nothing else for any engine. (An
        # allocation of 64 KiB comes and goes, elsewhere.)
        states = (engine[MANY] - engine[FEW]) / state_bytes
        assert abs(states - (MANY - FEW)) <= 3, engine
    # DistributedDataParallel has made its buckets before; FSDP2 gathers, and copies gradients.
    assert replicated[FEW] - alone[FEW] <= 3 * state_bytes, (alone, replicated)
    assert field_too[FEW] - alone[FEW] <= 1.5 * param_bytes, (alone, field_too)
    assert offloaded[MANY] - offloaded[FEW] <= 3 * state_bytes, offloaded


def _peaks(
    wrap: Callable[[nn.Module], nn.Module], field: nn.Module, y0: torch.Tensor, **arguments
) -> dict[int, float]:
    model = wrap(copy.deepcopy(field))
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    peaks = {}
    for num_steps in (FEW, MANY):
        inner.arguments = {
            **arguments,
            "method": "midpoint",
            "options": {"step_size": 1 / num_steps},
        }

        def step() -> None:
            loss_of(model(y0)).backward()
            model.zero_grad()

        step()
        step()  # in the second DistributedDataParallel makes its buckets anew
        # The least of some: what the engines' own threads allocate beside it comes on top.
        found = [peak_bytes(step, y0.device) for _ in range(5)]
        is_cpu = y0.device.type == "cpu"
        peaks[num_steps] = min(peak.cpu if is_cpu else peak.gpu for peak in found)
    return peaks


CHECKS = (peak_bytes_are_those_of_one_process_and_the_engine,)
