"""A training whose last rank fails in the middle of a backward pass: run by torchrun."""

import os
import signal
import sys

import torch
from torch.nn.parallel import DistributedDataParallel

from tests.distributed.models import Model, batch_of, loss_of
from tests.distributed.world import open_world


def main(how: str) -> None:
    world = open_world()
    model = Model()
    wrapped = DistributedDataParallel(model)
    share = batch_of(world)[world.rank]
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 100 and world.is_last:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("the last rank cannot go on")

    model.field.register_forward_pre_hook(fail)
    for _ in range(1000):
        loss_of(wrapped(share)).backward()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
