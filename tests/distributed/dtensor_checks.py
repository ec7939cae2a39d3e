"""States and parameters that are DTensors."""

import copy

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

import symadj
from symadj.errors import InvalidInputError, InvalidSlopeError, InvalidTypeError, UnsupportedError
from tests.distributed.models import (
    TIMES,
    Model,
    assert_equal_to_rounding,
    assert_raises,
    batch_of,
    expected_gradients,
    gradients_of,
    loss_of,
)
from tests.distributed.world import World

WAYS = (
    {},
    {"checkpoints": "stages"},
    {"checkpoints": "activations"},
    {"checkpoints": 2},
    {"method": "rk4", "options": {"step_size": 0.2}},
    {"memory_budget": "64MiB"},
)


class Tanh(nn.Module):
    """``tanh(W y + b)`` times time, of states of two dimensions."""

    def __init__(self, dim: int = 6) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim, dtype=torch.float64)

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(y)) * (1 + t)


def _mesh(world: World) -> DeviceMesh:
    return init_device_mesh(world.device.type, (world.size,))


def _spread(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    for name, param in list(module.named_parameters()):
        owner, _, last = name.rpartition(".")
        whole = distribute_tensor(param.detach(), mesh, [Replicate()])
        module.get_submodule(owner).register_parameter(last, nn.Parameter(whole))
    return module


def states_may_be_spread(world: World) -> None:
    """By rows (5, which no number of ranks divides), by columns or not at all."""
    mesh = _mesh(world)
    field = Tanh().to(world.device)
    y0 = torch.randn(5, 6, dtype=torch.float64, device=world.device)
    times = TIMES.to(world.device)
    for arguments in WAYS:
        alone, start = copy.deepcopy(field), y0.clone().requires_grad_()
        ys = symadj.odeint(alone, start, times, rtol=1e-5, **arguments)
        ys[1:].sin().sum().backward()
        for placement in (Shard(0), Shard(1), Replicate()):
            together = _spread(copy.deepcopy(field), mesh)
            spread = distribute_tensor(y0, mesh, [placement]).requires_grad_()
            found = symadj.odeint(together, spread, times, rtol=1e-5, **arguments)
            assert isinstance(found, DTensor)
            assert found.shape == ys.shape
            assert_equal_to_rounding([found.full_tensor()], [ys], rounding=1e-11)
            found[1:].sin().sum().backward()
            assert spread.grad.placements == (placement,)
            gradients = [spread.grad.full_tensor(), *gradients_of(together.parameters())]
            expected = [start.grad, *(param.grad for param in alone.parameters())]
            assert_equal_to_rounding(gradients, expected, rounding=1e-11)


def nested_states_may_be_spread(world: World) -> None:
    mesh = _mesh(world)
    starts = [torch.randn(4, n, dtype=torch.float64, device=world.device) for n in (2, 3)]
    times = TIMES.to(world.device)

    def f(t, y):
        return {"a": y["a"] * -t, "b": torch.sin(y["b"])}

    plain = dict(zip("ab", starts, strict=True))
    spread = {
        name: distribute_tensor(part, mesh, [place])
        for (name, part), place in zip(plain.items(), (Shard(0), Replicate()), strict=True)
    }
    alone = symadj.solve(f, plain, times)
    found = symadj.solve(f, spread, times)
    assert found.stats.num_accepted == alone.stats.num_accepted
    for name in "ab":
        assert_equal_to_rounding([found.ys[name].full_tensor()], [alone.ys[name]], rounding=1e-11)


def parameters_may_be_spread(world: World) -> None:
    """Tensor parallelism within f, alone and with FSDP2 around it; the state is a plain tensor."""
    mesh = _mesh(world)
    plan = {"inner": ColwiseParallel(), "outer": RowwiseParallel()}
    share = batch_of(world)[0]
    for arguments in (*WAYS, {"options": {"compile": "aot_eager"}}):
        model = Model(**arguments).to(world.device)
        expected = expected_gradients(copy.deepcopy(model), [share])
        parallelize_module(model.field, mesh, plan)
        loss_of(model(share)).backward()
        assert_equal_to_rounding(gradients_of(model.parameters()), expected)
    if world.size == 4:
        mesh = init_device_mesh(world.device.type, (2, 2), mesh_dim_names=("data", "tensor"))
        shares = batch_of(world)[:2]
        for parts in ("model", "field model"):
            model = Model().to(world.device)
            expected = expected_gradients(copy.deepcopy(model), shares)
            parallelize_module(model.field, mesh["tensor"], plan)
            for part in parts.split():
                module = model if part == "model" else model.field
                fully_shard(module, mesh=mesh["data"])
            loss_of(model(shares[mesh.get_local_rank("data")])).backward()
            assert_equal_to_rounding(gradients_of(model.parameters()), expected)


def what_cannot_be_spread_is_refused(world: World) -> None:
    mesh = _mesh(world)
    y0 = torch.ones(4, 2, dtype=torch.float64, device=world.device)
    times = TIMES.to(world.device)
    spread = distribute_tensor(y0, mesh, [Shard(0)])
    partial = DTensor.from_local(y0, mesh, [Partial()])
    decay = lambda t, y: -y
    for refused, kind, words in (
        (lambda: symadj.odeint(decay, partial, times), InvalidInputError, "redistribute"),
        (lambda: symadj.odeint(decay, (spread, y0), times), InvalidTypeError, "all of them"),
        (lambda: symadj.odeint(lambda t, y: y0, spread, times), InvalidSlopeError, "DTensor"),
        (lambda: symadj.odeint(decay, spread, times.requires_grad_()), UnsupportedError, "t is"),
    ):
        assert_raises(refused, kind, words)


CHECKS = (
    states_may_be_spread,
    nested_states_may_be_spread,
    parameters_may_be_spread,
    what_cannot_be_spread_is_refused,
)
