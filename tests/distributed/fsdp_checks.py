"""A solve inside FSDP2."""

import copy
import warnings
from collections import Counter
from functools import partial

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint

import symadj
from benchmarks.traffic import Traffic
from symadj.errors import CompileFallbackWarning, UnsupportedError
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
from tests.fields import Flow


def sharded(model: nn.Module, parts: str, **settings) -> nn.Module:
    """Shard the named parts of a model, those within before those around them."""
    for part in parts.split():
        fully_shard(model if part == "model" else model.get_submodule(part), **settings)
    return model


def assert_as_one_process(world: World, model: nn.Module, parts: str, **settings) -> None:
    """Assert that a sharded model has the gradients of one process, twice in a row."""
    shares = batch_of(world)
    names = [name for name, _ in model.named_parameters()]
    expected = expected_gradients(copy.deepcopy(model), shares)
    sharded(model, parts, **settings)
    for _ in range(2):
        model.zero_grad()
        loss_of(model(shares[world.rank])).backward()
        found = gradients_of(model.parameters())
        # What is not sharded, nobody reduces.
        roots = ("",) if "model" in parts.split() else tuple(parts.split())
        mine = [place for place, name in enumerate(names) if name.startswith(roots)]
        assert mine
        assert_equal_to_rounding([found[i] for i in mine], [expected[i] for i in mine])


def whichever_modules_are_sharded(world: World) -> None:
    for parts in (
        "model",
        "field model",
        "encoder field head model",
        "field.inner field.outer model",
        "field.inner field model",
        "field",
        "field.inner",
        "field.inner field.outer field",
    ):
        assert_as_one_process(world, Model().to(world.device), parts)


def whatever_is_kept_and_freed(world: World) -> None:
    for arguments in (
        {"checkpoints": "stages"},
        {"checkpoints": 2, "offload": "disk"},
        {"method": "rk4", "options": {"graphs": 3}},
    ):
        for reshard in (True, False):
            model = Model(**arguments).to(world.device)
            assert_as_one_process(world, model, "field model", reshard_after_forward=reshard)


class Branching(nn.Module):
    """A field of three parts: one for early times, one for late ones, one that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.late, self.never = (nn.Linear(4, 4, dtype=torch.float64) for _ in range(3))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.early(y) if t < 0.5 else self.late(y))


def parts_that_not_every_evaluation_reads(world: World) -> None:
    for parts in ("field model", "field.early field.late field.never model"):
        model = Model().to(world.device)
        model.field = Branching().to(world.device)
        assert_as_one_process(world, model, parts)


class Divergence(Model):
    """A field that is differentiated within itself."""

    def __init__(self) -> None:
        super().__init__()
        self.field = Flow(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y0 = (self.encoder(x), x.new_zeros(len(x)))
        ys, logs = symadj.odeint(self.field, y0, TIMES.to(x.device), rtol=1e-4)
        return self.head(ys[-1]) + logs[-1, :, None]


def a_field_that_differentiates_itself(world: World) -> None:
    for parts in ("model", "field model"):
        assert_as_one_process(world, Divergence().to(world.device), parts)


class Twice(Model):
    """The field is solved twice, the second time as a function that captures it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        times = TIMES.to(x.device)
        ys = symadj.odeint(self.field, self.encoder(x), times, rtol=1e-4)
        ys += 1.0  # in place: what FSDP2 hangs on the outputs must stay there
        y0 = ys[-1]
        return self.head(symadj.odeint(lambda t, y: -self.field(t, y), y0, times, rtol=1e-5)[-1])


def a_field_that_is_solved_twice(world: World) -> None:
    for parts in ("model", "field model", "field.inner model"):
        assert_as_one_process(world, Twice().to(world.device), parts)


class Recomputed(Model):
    """The solve is itself checkpointed, and the field perhaps compiled."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(super().forward, x, use_reentrant=False)


def activation_checkpointing_and_compilation(world: World) -> None:
    for is_compiled in (False, True):
        model = Recomputed(checkpoints=3).to(world.device)
        if is_compiled:
            torch.compiler.reset()
            model.field.compile(backend="eager")
        assert_as_one_process(world, model, "field model")


class Compiled(Model):
    """Compiled steps that keep activations; ``f`` is the module, or a function that calls it."""

    def __init__(self, *, by_function: bool) -> None:
        super().__init__(checkpoints="activations", options={"compile": "eager"})
        self.by_function = by_function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        net = self.field
        field = (lambda t, y: net(t, y)) if self.by_function else net
        solution = symadj.solve(field, self.encoder(x), TIMES.to(x.device), **self.arguments)
        self.stats = solution.stats
        return self.head(solution.ys[1:].mean(0))


def compiled_steps_go_on_without_graphs(world: World) -> None:
    """With a warning where ``f`` is sharded by itself: a graph holds none of FSDP2's hooks."""
    for by_function in (False, True):
        torch.compiler.reset()
        model = Compiled(by_function=by_function).to(world.device)
        with warnings.catch_warnings():
            warnings.simplefilter("error", CompileFallbackWarning)
            assert_as_one_process(world, model, "model")
        assert model.stats.nfe_backward == 1, model.stats
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for parts in ("field model", "field.inner model", "field"):
                model = Compiled(by_function=by_function).to(world.device)
                assert_as_one_process(world, model, parts)
                assert model.stats.nfe_backward > 1, model.stats
        assert any(issubclass(warning.category, CompileFallbackWarning) for warning in caught)


def gradients_are_gathered_and_reduced_once(world: World) -> None:
    """However often f is evaluated; each parameter's hook is called once, too."""
    for reshard in (True, False):
        model = Model().to(world.device)
        sizes = [sum(p.nbytes for p in m.parameters()) for m in (model, model.field)]
        sharded(model, "field model")
        model.field.set_reshard_after_forward(reshard)
        counts: Counter[str] = Counter()
        for name, param in model.named_parameters():
            param.register_post_accumulate_grad_hook(partial(_count, counts, name))
        shares = batch_of(world)
        with Traffic() as traffic:
            loss = loss_of(model(shares[world.rank]))
            assert traffic.calls == {"all_gather": 2}, traffic.calls
            loss.backward()
        assert counts == dict.fromkeys(dict(model.named_parameters()), 1), counts
        # Only the field is freed in between, unless it is not to be.
        assert traffic.calls == {"all_gather": 2 + reshard, "reduce_scatter": 2}, traffic.calls
        padding = 8 * world.size * len(counts) * 8
        assert 0 <= traffic.payload_bytes["reduce_scatter"] - sizes[0] <= padding
        gathered = sizes[0] + sizes[1] * reshard
        assert 0 <= traffic.payload_bytes["all_gather"] - gathered <= 2 * padding


def _count(counts: Counter[str], name: str, _: torch.Tensor) -> None:
    counts[name] += 1


def a_solve_without_gradients_gathers_once(world: World) -> None:
    model = sharded(Model().to(world.device), "field", reshard_after_forward=True)
    lengths = [param.to_local().numel() for param in model.field.parameters()]
    share = batch_of(world)[world.rank]
    for is_frozen in (False, True):
        model.requires_grad_(not is_frozen)
        with torch.set_grad_enabled(is_frozen), Traffic() as traffic:
            model(share)
        assert traffic.calls == {"all_gather": 1}, traffic.calls
        assert [param.to_local().numel() for param in model.field.parameters()] == lengths


def gradients_accumulate_without_synchronization(world: World) -> None:
    shares = batch_of(world)
    model = Model().to(world.device)
    once = expected_gradients(copy.deepcopy(model), shares)
    sharded(model, "field model")
    for is_last in (False, True):
        model.set_requires_gradient_sync(is_last)
        with Traffic() as traffic:
            loss_of(model(shares[world.rank])).backward()
        assert ("reduce_scatter" in traffic.calls) == is_last
    assert_equal_to_rounding(gradients_of(model.parameters()), [2 * part for part in once])


def clipped_by_the_norm_of_all_shards(world: World) -> None:
    shares = batch_of(world)
    model = Model().to(world.device)
    expected = expected_gradients(copy.deepcopy(model), shares)
    norm = torch.cat([part.flatten() for part in expected]).norm()
    sharded(model, "field model")
    loss_of(model(shares[world.rank])).backward()
    found = nn.utils.clip_grad_norm_(model.parameters(), 0.05).full_tensor()
    assert_equal_to_rounding([found], [norm])
    clipped = [part * (0.05 / (norm + 1e-6)) for part in expected]
    assert_equal_to_rounding(gradients_of(model.parameters()), clipped)


def in_mixed_precision(world: World) -> None:
    """Parameters gathered in bfloat16; the solve's state stays in the dtype of the caller."""
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, torch.float32)
    torch.manual_seed(0)
    model = Model(method="rk4", options={"step_size": 0.25}).to(world.device, torch.float32)
    alone = copy.deepcopy(model)
    fully_shard(model.field, mp_policy=policy)
    shares = [share.float() for share in batch_of(world)]

    field = copy.deepcopy(alone.field).to(torch.bfloat16)

    def rounded(t, y):
        return field(t.bfloat16(), y.bfloat16()).float()

    y0 = alone.encoder(shares[world.rank]).detach()
    times = TIMES.to(y0)
    ours = symadj.odeint(model.field, y0, times, **model.arguments)
    theirs = symadj.odeint(rounded, y0, times, **model.arguments)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)
    loss_of(ours).backward()
    loss_of(theirs).backward()
    for param, other in zip(model.field.parameters(), field.parameters(), strict=True):
        whole = other.grad.float()
        dist.all_reduce(whole, dist.ReduceOp.SUM)
        assert param.grad.dtype == torch.float32
        torch.testing.assert_close(param.grad.full_tensor(), whole / world.size)


def what_cannot_be_is_refused(world: World) -> None:
    model = sharded(Model(memory_budget="64MiB").to(world.device), "field model")
    _assert_refused(lambda: model(batch_of(world)[world.rank]), "memory_budget")
    model = sharded(Model(checkpoints="activations").to(world.device), "field model")
    _assert_refused(lambda: model(batch_of(world)[world.rank]), "activations")
    assert_as_one_process(world, Model(checkpoints="activations").to(world.device), "model")
    assert_as_one_process(world, Model(memory_budget="64MiB").to(world.device), "model")
    stiff = {"method": "trbdf2", "rtol": 1e-3, "atol": 1e-3}
    model = sharded(Model(**stiff).to(world.device), "field model")
    _assert_refused(lambda: model(batch_of(world)[world.rank]), "implicit")
    assert_as_one_process(world, Model(**stiff).to(world.device), "model")
    model = Model().to(world.device)
    fully_shard(model.field)
    model.arguments = {"adjoint_params": tuple(model.field.parameters())}
    _assert_refused(lambda: model(batch_of(world)[world.rank]), "adjoint_params")


def _assert_refused(call, word: str) -> None:
    try:
        call()
    except UnsupportedError as error:
        assert word in str(error)  # noqa: PT017 - not pytest's own process
    else:
        raise AssertionError("nothing was refused")


CHECKS = (
    whichever_modules_are_sharded,
    whatever_is_kept_and_freed,
    parts_that_not_every_evaluation_reads,
    a_field_that_differentiates_itself,
    a_field_that_is_solved_twice,
    activation_checkpointing_and_compilation,
    compiled_steps_go_on_without_graphs,
    gradients_are_gathered_and_reduced_once,
    a_solve_without_gradients_gathers_once,
    gradients_accumulate_without_synchronization,
    clipped_by_the_norm_of_all_shards,
    in_mixed_precision,
    what_cannot_be_is_refused,
)
