"""Processes that take the same steps: one small all-reduce for each norm of the controller."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from symadj.errors import InvalidInputError, OtherProcessError

Parts = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the processes tell each other, always in messages of one length.

    A message is the number of processes that failed, the sum of their ranks, and then for each part
    of the state its sum of squares and its number of elements, all of which are added up; or, for a
    norm of the caller's own, the norm itself, of which the largest is taken.

    Attributes
    ----------
    groups : tuple of ProcessGroup
        One; or those along each dimension of a mesh, which together hold all processes.
    device : torch.device
        The state's.
    num_parts : int
        Parts of the state; 0 for a norm of the caller's own.
    what : str
        All that has to be the same on every process.
    """

    groups: tuple[Any, ...]
    device: torch.device
    num_parts: int
    what: str

    def root_mean_square(self, parts: Parts) -> Callable[[Tensor], Tensor]:
        """Return the largest root mean square of the parts, each over all processes.

        It is, to rounding, that of one process that holds the states of all of them.
        """

        def norm(flat: Tensor) -> Tensor:
            pieces = parts(flat)
            squares = [piece.abs().pow(2).sum(dtype=torch.float64) for piece in pieces]
            counts = [float(piece.numel()) for piece in pieces]
            sums = self._told([*squares, *counts])
            means = [
                s / n for s, n in zip(sums[: len(pieces)], sums[len(pieces) :], strict=True) if n
            ]
            worst = max(means) if all(math.isfinite(mean) for mean in means) else math.inf
            return torch.tensor(math.sqrt(worst), dtype=torch.float64)

        return norm

    def largest(self, norm: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
        """Return the largest of the norms that the processes have of their own states."""

        def largest(flat: Tensor) -> Tensor:
            own = abs(float(norm(flat)))
            (worst,) = self._told([own if math.isfinite(own) else math.inf])
            return torch.tensor(worst, dtype=torch.float64)

        return largest

    def tell_failed_step(self) -> None:
        """Take the part of a norm where this process has no step to take one of."""
        self._told([math.inf] * self.num_parts + [1.0] * self.num_parts or [math.inf])

    def any_of(self, flag: bool) -> bool:
        """Return whether any process says so."""
        return self._told([float(flag)] * (2 * self.num_parts or 1))[0] > 0

    @contextmanager
    def one_solve(self) -> Iterator[None]:
        """Make sure that the processes solve the same, and end together.

        Raises
        ------
        InvalidInputError
            If it is not, on every process.
        OtherProcessError
            If another process fails meanwhile.
        """
        self._compare()
        try:
            yield
        except OtherProcessError:
            raise
        except Exception:
            self._exchange([1.0, float(dist.get_rank()), *self._nothing()])
            raise
        self._told(self._nothing())

    def _nothing(self) -> list[float | Tensor]:
        return [0.0] * (2 * self.num_parts or 1)

    def _compare(self) -> None:
        number = float(int.from_bytes(hashlib.sha256(self.what.encode()).digest()[:6], "big"))
        both = torch.tensor([number, -number], dtype=torch.float64, device=self.device)
        for group in self.groups:
            dist.all_reduce(both, dist.ReduceOp.MAX, group=group)
        most, least = both.tolist()
        if most != -least:
            raise InvalidInputError(
                f"options['sync_steps'] is given, and the processes do not solve the same: on this "
                f"one it is {self.what}. Give all of them the same method, options, tolerances, "
                f"t[0] and t[-1] (and t, where steps end at the outputs), or leave sync_steps out."
            )

    def _told(self, values: Sequence[float | Tensor]) -> list[float]:
        """Return what comes of the values of all processes.

        Raises
        ------
        OtherProcessError
            If one of them failed.
        """
        failed, ranks, *rest = self._exchange([0.0, 0.0, *values])
        if failed:
            who = (
                f"rank {ranks:.0f}" if failed == 1 or not self.num_parts else f"{failed:.0f} ranks"
            )
            raise OtherProcessError(
                f"The solve failed on {who} of the processes that take the same steps "
                f"(options['sync_steps']), and so it ends on this one too. Look at the error there."
            )
        return rest

    def _exchange(self, values: Sequence[float | Tensor]) -> list[float]:
        message = torch.stack(
            [torch.as_tensor(v, dtype=torch.float64, device=self.device) for v in values]
        )
        how = dist.ReduceOp.SUM if self.num_parts else dist.ReduceOp.MAX
        for group in self.groups:
            dist.all_reduce(message, how, group=group)
        return message.tolist()


def group_of(given: Any) -> Any:
    """Return the group of processes that ``options["sync_steps"]`` names.

    Raises
    ------
    InvalidInputError
        If there is none, or this process is not in it.
    """
    is_there = dist.is_available() and dist.is_initialized()
    if given is not True and not (dist.is_available() and isinstance(given, dist.ProcessGroup)):
        raise InvalidInputError(
            f"options['sync_steps'] is {given!r}. Allowed are False, True (all processes take the "
            f"same steps), and a torch.distributed.ProcessGroup that holds this process."
        )
    if not is_there:
        raise InvalidInputError(
            "options['sync_steps'] is given, and there are no other processes: start them by "
            "torchrun and call torch.distributed.init_process_group first, or leave it out."
        )
    return dist.group.WORLD if given is True else given
