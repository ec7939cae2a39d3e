"""CUDA's streams and its allocator, simulated: what is enqueued runs later, in any allowed order.

The program runs to its end first, as a host far ahead of its device; then the streams run, one
operation at a time, each time of a stream that chance chooses among those that need not wait. A
block of device memory whose tensor is gone is what the next allocation in its stream gets, at once,
as in torch's caching allocator. So a wait that is missing shows as a wrong number.
"""

import random
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Event:
    """Done when its stream has come to where it was recorded."""

    done = False


@dataclass(eq=False)
class Stream:
    """Operations in order, and the free blocks of those that were allocated in it."""

    operations: deque[Event | Callable[[], object]] = field(default_factory=deque)
    blocks: list[Tensor] = field(default_factory=list)

    def wait_event(self, event: Event) -> None:
        self.operations.append(event)

    def record_event(self) -> Event:
        event = Event()
        self.operations.append(lambda: setattr(event, "done", True))
        return event

    def wait_stream(self, other: "Stream") -> None:
        self.wait_event(other.record_event())

    def is_waiting(self) -> bool:
        return not self.operations or (
            isinstance(self.operations[0], Event) and not self.operations[0].done
        )

    def run_one(self) -> None:
        operation = self.operations.popleft()
        if not isinstance(operation, Event):
            operation()

    def run_alone(self) -> None:
        """Do all that need not wait for another stream."""
        while not self.is_waiting():
            self.run_one()


class Device(TorchFunctionMode):
    """Two streams, and torch's functions as they are on such a device."""

    def __init__(self) -> None:
        super().__init__()
        self.compute, self.side = Stream(), Stream()
        self.current = self.compute

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    def empty(self, num_elements: int) -> Tensor:
        """Allocate in the current stream."""
        blocks = self.current.blocks
        block = blocks.pop() if blocks else torch.full((num_elements,), torch.nan)
        tensor = block.detach()
        weakref.finalize(tensor, blocks.append, block)
        return tensor

    def enqueue(self, operation: Callable[..., object], *tensors: Tensor) -> None:
        """Do something with the memory of tensors, which the host may have freed by then."""
        memory = [tensor.detach() for tensor in tensors]
        self.current.operations.append(lambda: operation(*memory))

    def run(self, generator: random.Random) -> None:
        """Do all that was enqueued."""
        eagerness = generator.choice([0.02, 0.5, 0.98])
        while self.compute.operations or self.side.operations:
            ready = [s for s in (self.compute, self.side) if not s.is_waiting()]
            assert ready, "the streams wait for each other"
            ready[-1 if generator.random() < eagerness else 0].run_one()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.Tensor.copy_:
            # Without the mode: the operation itself runs later, outside of it.
            self.enqueue(lambda target, source: target.copy_(source), args[0], args[1])
            return args[0]
        if func is torch.empty:
            return self.empty(args[0])
        return func(*args, **kwargs)
