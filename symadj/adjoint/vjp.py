"""Vector-Jacobian products by autograd's engine, called as `torch.autograd.grad` calls it.

A small network is done with its backward pass in the time that ``grad`` takes to look at its
arguments; and these have been looked at already.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.autograd import Variable

_engine = Variable._execution_engine


def vjp(
    outputs: Sequence[Tensor], cotangents: Sequence[Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Pull cotangents of outputs back to the inputs, and free the graph.

    Parameters
    ----------
    outputs, cotangents : sequence of Tensor
        Each cotangent of the shape and dtype of its output; every output requires a gradient.
    inputs : sequence of Tensor
        Each requires a gradient.

    Returns
    -------
    tuple of Tensor or None
        One for each input; None where no output depends on it.
    """
    pulled: tuple[Tensor | None, ...] = _engine.run_backward(
        tuple(outputs),
        tuple(cotangents),
        False,  # the graph is not kept
        False,  # and none is made of the products
        tuple(inputs),
        allow_unreachable=True,
        accumulate_grad=False,
    )
    return pulled
