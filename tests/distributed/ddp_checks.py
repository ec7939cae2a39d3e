"""A solve inside `DistributedDataParallel`."""

import copy

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import symadj
from symadj.errors import UnsupportedError
from tests.distributed.models import (
    TIMES,
    Model,
    assert_equal_to_rounding,
    batch_of,
    expected_gradients,
    gradients_of,
    loss_of,
)
from tests.distributed.world import World
from tests.fields import Network

WAYS = (
    {},
    {"checkpoints": "stages"},
    {"checkpoints": "activations"},
    {"checkpoints": 2},
    {"checkpoints": 2, "offload": "disk"},
    {"memory_budget": "64MiB"},
    {"method": "rk4", "options": {"step_size": 0.1}},
    {"method": "trbdf2", "rtol": 1e-3, "atol": 1e-3},
)


def _step(world: World, model: nn.Module, **settings):
    """Return what one process would have, and what the ranks have after one backward pass."""
    shares = batch_of(world)
    expected = expected_gradients(copy.deepcopy(model), shares)
    wrapped = DistributedDataParallel(model, **settings)
    loss_of(wrapped(shares[world.rank])).backward()
    return expected, gradients_of(model.parameters())


def gradients_are_those_of_one_process(world: World) -> None:
    for arguments in WAYS:
        expected, found = _step(world, Model(**arguments).to(world.device))
        assert_equal_to_rounding(found, expected)


def settings_of_ddp_change_nothing(world: World) -> None:
    for settings in (
        {"find_unused_parameters": True},
        {"static_graph": True},
        {"gradient_as_bucket_view": True},
        {"bucket_cap_mb": 1e-4},
    ):
        expected, found = _step(world, Model().to(world.device), **settings)
        assert_equal_to_rounding(found, expected)


class Forgetful(Model):
    """A model with a layer that its forward pass, and one that its field, never uses."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Linear(2, 2, dtype=torch.float64)
        self.field.idle = nn.Linear(2, 2, dtype=torch.float64)


def unused_parameters_are_found(world: World) -> None:
    for _ in range(2):
        expected, found = _step(world, Forgetful().to(world.device), find_unused_parameters=True)
        assert_equal_to_rounding(found, expected)


def each_hook_fires_once(world: World) -> None:
    model = Model(checkpoints=2).to(world.device)
    counts: dict[str, int] = {}

    def count(name):
        counts[name] = counts.get(name, 0) + 1

    for name, param in model.named_parameters():
        param.register_hook(lambda _, name=name: count(f"hook of {name}"))
        param.register_post_accumulate_grad_hook(lambda _, name=name: count(f"after {name}"))
    wrapped = DistributedDataParallel(model)
    buckets = []

    def look(_, bucket):
        buckets.append(bucket.buffer().numel())
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future

    wrapped.register_comm_hook(None, look)
    loss_of(wrapped(batch_of(world)[world.rank])).backward()
    assert set(counts.values()) == {1}, counts
    assert len(counts) == 2 * len(list(model.parameters()))
    # Each gradient is communicated once, whatever the number of evaluations.
    assert sum(buckets) == sum(param.numel() for param in model.parameters())


def gradients_accumulate_without_synchronization(world: World) -> None:
    model = Model().to(world.device)
    shares = batch_of(world)
    twice = [torch.cat([share, 0.5 * share]) for share in shares]
    expected = [
        a + b
        for a, b in zip(
            expected_gradients(copy.deepcopy(model), shares),
            expected_gradients(copy.deepcopy(model), [share[5:] for share in twice]),
            strict=True,
        )
    ]
    wrapped = DistributedDataParallel(model)
    with wrapped.no_sync():
        loss_of(wrapped(shares[world.rank])).backward()
    loss_of(wrapped(twice[world.rank][5:])).backward()
    assert_equal_to_rounding(gradients_of(model.parameters()), expected)


def a_wrapped_field_is_refused(world: World) -> None:
    """Its gradients would be those of the rank alone."""
    wrapped = DistributedDataParallel(Network(4).to(world.device))
    compiled = {"options": {"compile": "eager"}}
    for field, arguments in (
        (wrapped, {}),
        (lambda t, y: -wrapped(t, y), {}),
        (lambda t, y: -wrapped(t, y), compiled),
        (lambda t, y: -wrapped(t, y), {"method": "rk4", **compiled}),
    ):
        try:
            Solve(field, **arguments)(torch.ones(5, 4, dtype=torch.float64, device=world.device))
        except UnsupportedError as error:
            assert "wrap the module whose forward" in str(error)  # noqa: PT017 - not pytest's own
        else:
            raise AssertionError("nothing was refused")


def steps_are_compiled_once(world: World) -> None:
    for kept in ("stages", "activations"):
        torch.compiler.reset()
        model = Model(checkpoints=kept).to(world.device)
        shares = batch_of(world)
        expected = expected_gradients(copy.deepcopy(model), shares)
        model.arguments["options"] = {"compile": "eager"}
        wrapped = DistributedDataParallel(model)
        for is_first in (True, False):
            torch._dynamo.utils.counters.clear()
            model.zero_grad()
            loss_of(wrapped(shares[world.rank])).backward()
            assert_equal_to_rounding(gradients_of(model.parameters()), expected)
            num_graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
            assert bool(num_graphs) == is_first, num_graphs


class Solve(nn.Module):
    """A solve alone."""

    def __init__(self, field: nn.Module, **arguments) -> None:
        super().__init__()
        self.field, self.arguments = field, arguments

    def forward(self, y0: torch.Tensor) -> torch.Tensor:
        times = TIMES.to(y0.device)
        return symadj.odeint(self.field, y0, times, **self.arguments)[1:]


def together_with_what_surrounds_a_model(world: World) -> None:
    """Compiled parts, activation checkpointing, clipping: the steps taken are one process's."""
    for is_compiled in (False, True):
        model = Surrounded(is_compiled=is_compiled).to(world.device)
        alone = copy.deepcopy(model)
        shares = batch_of(world)
        expected = expected_gradients(alone, shares)
        norm = torch.cat([part.flatten() for part in expected]).norm()
        wrapped = DistributedDataParallel(model)
        loss_of(wrapped(shares[world.rank])).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        assert norm > 0.1
        scale = 0.1 / (norm + 1e-6)  # as clip_grad_norm_ has it
        found = gradients_of(model.parameters())
        assert_equal_to_rounding(found, [scale * part for part in expected])


class Surrounded(Model):
    """A model whose field may be compiled, and whose solve is itself checkpointed."""

    def __init__(self, *, is_compiled: bool) -> None:
        super().__init__(checkpoints=3)
        self.solve = Solve(self.field, checkpoints=3)
        if is_compiled:
            torch.compiler.reset()
            self.field.compile(backend="aot_eager")
            self.encoder.compile(backend="aot_eager")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ys = checkpoint(lambda x: self.solve(self.encoder(x)), x, use_reentrant=False)
        return self.head(ys.mean(0))


def scaled_losses_of_autocast(world: World) -> None:
    """Autocast, GradScaler, clipping and an optimizer: two steps as one process takes them."""
    model = Model(method="rk4", options={"step_size": 0.25}).to(world.device, torch.float32)
    alone = copy.deepcopy(model)
    shares = [share.float() for share in batch_of(world)]
    wrapped = DistributedDataParallel(model)

    def train(model, gradients):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler(world.device.type, init_scale=2.0**10)
        for _ in range(2):
            optimizer.zero_grad()
            gradients(model, scaler)
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.05)
            scaler.step(optimizer)
            scaler.update()
        assert scaler.get_scale() == 2.0**10

    def loss(model, share):
        with torch.autocast(world.device.type, torch.bfloat16):
            return loss_of(model(share).float())

    def on_all(model, scaler):
        for share in shares:
            scaler.scale(loss(model, share) / world.size).backward()

    train(alone, on_all)
    train(model, lambda _, scaler: scaler.scale(loss(wrapped, shares[world.rank])).backward())
    for ours, theirs in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


CHECKS = (
    gradients_are_those_of_one_process,
    settings_of_ddp_change_nothing,
    unused_parameters_are_found,
    each_hook_fires_once,
    gradients_accumulate_without_synchronization,
    a_wrapped_field_is_refused,
    steps_are_compiled_once,
    together_with_what_surrounds_a_model,
    scaled_losses_of_autocast,
)
