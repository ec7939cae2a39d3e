"""Ranks that take the same adaptive steps."""

import copy
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import symadj
from benchmarks.traffic import Traffic
from symadj.errors import InvalidInputError, OtherProcessError, UnsupportedError
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
from tests.distributed.world import STUCK_SECONDS, World
from tests.fields import Flow, Network

SYNC = {"options": {"sync_steps": True}}


def _ends(solution) -> list[float]:
    return [step.stretch.t1 for step in solution.steps]


def steps_are_those_of_one_process(world: World) -> None:
    """That holds the data of all: for each norm, to rounding; without the option they differ."""
    field, flow = Network(3).to(world.device), Flow(3).to(world.device)
    shares = batch_of(world)
    times = TIMES.to(world.device)
    for method in ("dopri5", "bosh3", "trbdf2"):
        tolerances = {"method": method, "rtol": 1e-4, "atol": 1e-6}
        whole = symadj.solve(field, torch.cat(shares), times, **tolerances)
        same = symadj.solve(field, shares[world.rank], times, **tolerances, **SYNC)
        torch.testing.assert_close(_ends(same), _ends(whole), rtol=1e-9, atol=0)
        assert same.stats.num_rejected == whole.stats.num_rejected
        own = symadj.solve(field, shares[world.rank], times, **tolerances)
        assert _ends(own) != _ends(whole)

    def nested(parts):
        return parts, torch.zeros(len(parts), dtype=parts.dtype, device=parts.device)

    whole = symadj.solve(flow, nested(torch.cat(shares)), times, rtol=1e-4)
    same = symadj.solve(flow, nested(shares[world.rank]), times, rtol=1e-4, **SYNC)
    torch.testing.assert_close(_ends(same), _ends(whole), rtol=1e-9, atol=0)
    options = {"norm": lambda y: y.abs().max()}
    whole = symadj.solve(field, torch.cat(shares), times, options=options)
    options["sync_steps"] = dist.group.WORLD
    same = symadj.solve(field, shares[world.rank], times, options=options)
    torch.testing.assert_close(_ends(same), _ends(whole), rtol=1e-9, atol=0)


def gradients_are_those_of_the_whole_batch(world: World) -> None:
    shares = batch_of(world)
    for wrap in (DistributedDataParallel, fully_shard):
        model = Model(checkpoints=3, **SYNC).to(world.device)
        alone = copy.deepcopy(model)
        alone.arguments = {"checkpoints": 3}
        expected = expected_gradients(alone, [torch.cat(shares)])
        if wrap is fully_shard:
            fully_shard(model.field)
        wrapped = wrap(model)
        loss_of(wrapped(shares[world.rank])).backward()
        # The steps agree to rounding, which the error estimate's own cancellation enlarges.
        assert_equal_to_rounding(gradients_of(model.parameters()), expected, rounding=1e-9)


def each_norm_is_one_small_message(world: World) -> None:
    field = Network(3).to(world.device)
    with Traffic() as traffic:
        solution = symadj.solve(field, batch_of(world)[world.rank], TIMES.to(world.device), **SYNC)
    attempts = solution.stats.num_accepted + solution.stats.num_rejected
    # Three norms for the first step; before the solve, behind it, and whether to take it again.
    assert traffic.calls == {"all_reduce": attempts + 3 + 3}, (traffic.calls, attempts)
    assert traffic.payload_bytes["all_reduce"] <= 32 * traffic.calls["all_reduce"]
    with Traffic() as traffic:
        solution.ys.sum().backward()
    assert not traffic.calls


def outputs_may_differ_in_number(world: World) -> None:
    field = Network(3).to(world.device)
    share = batch_of(world)[world.rank]
    times = torch.linspace(0, 1, 3 + 5 * world.rank, dtype=torch.float64, device=world.device)
    plain = symadj.solve(field, share, TIMES.to(world.device), **SYNC)
    other = symadj.solve(field, share, times, **SYNC)
    assert _ends(other) == _ends(plain)
    assert_raises(
        lambda: symadj.solve(field, share, times * (1 + world.rank), **SYNC),
        InvalidInputError,
        "do not solve the same",
    )
    stepped = {"options": {"sync_steps": True, "output": "step"}}
    assert_raises(lambda: symadj.solve(field, share, times, **stepped), InvalidInputError, "t[0]")


class Failing(nn.Module):
    """A field that fails on the last rank, in one way or another, when it is late."""

    def __init__(self, world: World, how: str) -> None:
        super().__init__()
        self.network, self.fails, self.how = Network(3), world.is_last, how

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        slope = self.network(t, y)
        if self.fails and t > 0.5:
            if self.how == "raises":
                raise ZeroDivisionError("on purpose")
            if self.how == "draws":
                return slope + 0 * torch.rand((), dtype=y.dtype)
            return slope * torch.nan
        return slope


def a_rank_that_fails_ends_the_others(world: World) -> None:
    """At once, with an error that names it; and they can go on together."""
    share, times = batch_of(world)[world.rank], TIMES.to(world.device)
    began = time.perf_counter()
    own = (ZeroDivisionError, "on purpose") if world.is_last else (OtherProcessError, "failed on")
    field = Failing(world, "raises").to(world.device)
    assert_raises(lambda: symadj.solve(field, share, times, **SYNC), *own)
    # Of a step that is not finite all take a smaller one, and give up together.
    field = Failing(world, "is not finite").to(world.device)
    assert_raises(
        lambda: symadj.solve(field, share, times, **SYNC),
        symadj.errors.NonFiniteError,
        "just after",
    )
    limited = {"options": {"sync_steps": True, "max_num_steps": 1 if world.is_last else 100}}
    own = (symadj.errors.MaxStepsError, "max_num") if world.is_last else (OtherProcessError, "rank")
    field = Network(3).to(world.device)
    assert_raises(lambda: symadj.solve(field, share, times, **limited), *own)
    # One rank sees that f draws random numbers, and begins again: so do the others.
    field = Failing(world, "draws").to(world.device)
    starts = share.clone().requires_grad_()
    symadj.solve(field, starts, times, **SYNC).ys.sum().backward()
    assert torch.isfinite(starts.grad).all()
    assert time.perf_counter() - began < STUCK_SECONDS / 2


def what_cannot_be_is_refused(world: World) -> None:
    field, share = Network(3).to(world.device), batch_of(world)[world.rank]
    times = TIMES.to(world.device)
    assert_raises(
        lambda: symadj.odeint(field, share, times[:2], event_fn=lambda t, y: y.sum() - 9, **SYNC),
        UnsupportedError,
        "event",
    )
    assert_raises(
        lambda: torch.func.vmap(lambda y: symadj.odeint(field, y, times, **SYNC))(share),
        UnsupportedError,
        "torch.func",
    )


CHECKS = (
    steps_are_those_of_one_process,
    gradients_are_those_of_the_whole_batch,
    each_norm_is_one_small_message,
    outputs_may_differ_in_number,
    a_rank_that_fails_ends_the_others,
    what_cannot_be_is_refused,
)
