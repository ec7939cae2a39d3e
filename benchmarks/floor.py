"""The floor: the evaluations and vector-Jacobian products that a gradient cannot do without.

Time: as many of them as the gradient needs, bare, in a loop with nothing else around them.
Memory: what one of them takes with its own state and cotangent; beside it the parameters'
gradient, the states (and graphs) that are to be kept, the slopes of one step, and the outputs with
their cotangents, which autograd makes whatever the method is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from .cases import Case
from .meters import CountingField, peak_bytes
from .problems import ProblemInstance

PROBLEM = "mlp-overhead"
"""The cases that are held against their floor."""

BARE = "bare"
"""In the place of a method's name: its evaluations and products alone."""


def bare_case(case: Case) -> Case:
    """Return what stands for the bare evaluations of a case, where cases take turns."""
    return replace(case, method=BARE)


def has_floor(case: Case) -> bool:
    """Whether a case is to be held against its floor: the formula is that of symadj's plans."""
    return case.problem == PROBLEM and case.method.startswith("symadj")


@dataclass(frozen=True)
class BareWork:
    """Evaluations of a field, with and without a graph, and nothing else.

    Attributes
    ----------
    instance : ProblemInstance
        Of a single tensor.
    num_plain : int
        Evaluations without a graph.
    num_vjps : int
        Evaluations with one, each pulled back once.
    """

    instance: ProblemInstance
    num_plain: int
    num_vjps: int

    @staticmethod
    def of(instance: ProblemInstance, counts: CountingField) -> BareWork:
        """Return what a gradient needed, as it was counted."""
        num_vjps = sum(counts.nvjp.values())
        return BareWork(instance, sum(counts.nfe.values()) - num_vjps, num_vjps)

    def run(self) -> None:
        """Do it all."""
        self.evaluate()
        self.pull_back()

    def evaluate(self) -> None:
        """Do the evaluations without a graph."""
        field, t, y = self.instance.field, self.instance.t[0], self._state()
        with torch.no_grad():
            for _ in range(self.num_plain):
                field(t, y)

    def pull_back(self) -> None:
        """Do the others."""
        y = self._state()
        cotangent = torch.ones_like(y)
        for _ in range(self.num_vjps):
            pull_back_once(self.instance, y, cotangent)

    def _state(self) -> Tensor:
        if isinstance(self.instance.y0, tuple):
            raise TypeError("The floor is that of states that are one tensor.")
        return self.instance.y0.detach().clone()


def pull_back_once(instance: ProblemInstance, y: Tensor, cotangent: Tensor) -> None:
    """Evaluate the field with a graph, and pull a cotangent back to the state and parameters."""
    leaf = y.detach().requires_grad_()
    slope = instance.field(instance.t[0], leaf)
    torch.autograd.grad(slope, (leaf, *instance.field.parameters()), cotangent, allow_unused=True)


def graph_bytes(instance: ProblemInstance, y: Tensor, device: torch.device) -> float:
    """Return what the graph of one evaluation holds on to, beside its state."""

    def hold(count: int) -> None:
        leaves = [y.detach().requires_grad_() for _ in range(count)]
        _graphs = [instance.field(instance.t[0], leaf).grad_fn for leaf in leaves]

    one, two = (peak_bytes(partial(hold, count), device).on_device for count in (1, 2))
    return two - one


def floor_bytes(
    instance: ProblemInstance, counts: CountingField, *, kept: str | int, device: torch.device
) -> float:
    """Return the least peak of a gradient: measured where it is f's, counted where it is states.

    Parameters
    ----------
    instance : ProblemInstance
        Of a single tensor.
    counts : CountingField
        What the gradient needed.
    kept : str or int
        What is kept: "stages" (every stage state), "activations" (these, and the graph of every
        evaluation that has a part in the gradient), or else the states at the starts of the steps.
    device : torch.device
    """
    alone = BareWork(instance, 0, 1)
    num_vjps, num_steps = sum(counts.nvjp.values()), len(counts.accepted_steps)
    num_stages = num_vjps // num_steps
    state = alone._state()
    per_step = num_stages if kept in {"stages", "activations"} else 1
    num_states = num_steps * per_step + num_stages
    of_graphs = 0.0
    if kept == "activations":  # the graph of the evaluation at work is measured with it
        of_graphs = (num_vjps - 1) * graph_bytes(instance, state, device)
    param_bytes = sum(param.nbytes for param in instance.field.parameters())
    outputs = 2 * len(instance.t)
    of_states = (num_states + outputs) * state.nbytes
    at_work = peak_bytes(alone.run, device).on_device
    return at_work + of_graphs + param_bytes + of_states
