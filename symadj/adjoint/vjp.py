"""Vector-Jacobian products by autograd's engine, called as `torch.autograd.grad` calls it.

A small network is done with its backward pass in the time that ``grad`` takes to look at its
arguments; and these have been looked at already.
"""

from torch import Tensor
from torch.autograd import Variable
from torch.autograd.graph import GradientEdge

_engine = Variable._execution_engine


def vjp(
    outputs: tuple[Tensor | GradientEdge, ...],
    cotangents: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    *,
    keeps_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Pull cotangents of outputs back to the inputs, and free the graph, unless it is kept.

    Parameters
    ----------
    outputs : tuple of Tensor or GradientEdge
    cotangents : tuple of Tensor
        Each cotangent of the shape and dtype of its output; every output requires a gradient.
    inputs : tuple of Tensor
        Each requires a gradient.
    keeps_graph : bool

    Returns
    -------
    tuple of Tensor or None
        One for each input; None where no output depends on it.
    """
    pulled: tuple[Tensor | None, ...] = _engine.run_backward(
        outputs,
        cotangents,
        keeps_graph,
        False,  # and none is made of the products
        inputs,
        allow_unreachable=True,
        accumulate_grad=False,
    )
    return pulled
