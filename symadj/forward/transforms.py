"""Calls under ``torch.func`` or forward-mode differentiation, and plain numbers out of them.

There, tensors are wrapped: what is done to them is recorded, batched, or carries a tangent along.
A step size has to be one plain number, for all samples of a batch.
"""

import cmath
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd import forward_ad


def is_transformed() -> bool:
    """Whether this call is made inside a transform of ``torch.func``, or a dual level."""
    return (
        torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0
    )


def is_batched(x: Tensor) -> bool:
    """Whether a tensor is a batch that ``torch.func.vmap`` shows as one sample, at any level."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        if torch._C._functorch.is_batchedtensor(x):
            return True
        x = torch._C._functorch.get_unwrapped(x)
    return False


def is_batch(x: Tensor) -> bool:
    """Whether a tensor is a batch of cotangents (``torch.func.vmap``, ``is_grads_batched``)."""
    return torch._C._functorch.is_batchedtensor(x) or torch._C._functorch.is_legacy_batchedtensor(x)


def plain(x: Tensor) -> Tensor:
    """Return the numbers of a tensor without any wrapping; those of all samples of a batch."""
    if not torch._C._functorch.is_functorch_wrapped_tensor(x):
        return x.detach()
    return torch.func.debug_unwrap(x).detach()


def largest(x: Tensor) -> Tensor:
    """Return a number, or the largest of those of a batch; not finite if one of them is not."""
    x = plain(x)
    return x.max() if x.ndim else x


def is_finite(x: Tensor) -> bool:
    """Whether all numbers of a tensor are finite, whatever it is wrapped in."""
    x = plain(x)
    # As a rule their sum tells it, by one operation; it may overflow where they do not.
    return cmath.isfinite(x.sum().item()) or bool(torch.isfinite(x).all())


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Make tensors that may outlive this call: plain ones, whatever surrounds it."""
    with torch._C._DisableFuncTorch(), torch.inference_mode(False), torch.no_grad():
        yield
