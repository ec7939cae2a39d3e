"""What was chosen to stay within a limit on memory, and what it was chosen over."""

from dataclasses import dataclass

from symadj.adjoint.budget import show_bytes


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to the gradient.

    Attributes
    ----------
    name : str
        What is kept, in words.
    peak_bytes : int
        Estimated peak of solve and backward pass, in bytes.
    evaluations : int
        Evaluations of ``f`` in the backward pass.
    """

    name: str
    peak_bytes: int
    evaluations: int

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.name}: {show_bytes(self.peak_bytes)}, {self.evaluations} evaluations"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a solve and its backward pass stay within a limit on memory.

    Attributes
    ----------
    budget_bytes : int
        The limit, in bytes.
    chosen : Alternative
        What is done: all peaks and evaluations are estimates made when the solve had ended.
    others : tuple of Alternative
        What would have been the fastest and the least, and what lies between.
    num_steps : int
        Accepted steps.
    num_states : int
        States that are kept at once, at the most, stage states among them.
    graphs : int
        Stages whose graphs are alive at once.
    nfe_measuring : int
        Evaluations of ``f`` that were made to measure it: 0 where it had been measured before.
        They are not among those of `Stats`.
    graph_bytes, vjp_bytes, state_bytes : int
        One graph of ``f``; one use of ``f``; one state; in bytes.
    """

    budget_bytes: int
    chosen: Alternative
    others: tuple[Alternative, ...]
    num_steps: int
    num_states: int
    graphs: int
    nfe_measuring: int
    graph_bytes: int
    vjp_bytes: int
    state_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Estimated peak of solve and backward pass, in bytes."""
        return self.chosen.peak_bytes

    @property
    def evaluations(self) -> int:
        """Evaluations of ``f`` in the backward pass."""
        return self.chosen.evaluations

    def __str__(self) -> str:
        """Return some lines for people."""
        lines = [
            f"memory_budget of {show_bytes(self.budget_bytes)}, {self.num_steps} steps; a state "
            f"takes {show_bytes(self.state_bytes)}, a graph of f {show_bytes(self.graph_bytes)}, a "
            f"use of f {show_bytes(self.vjp_bytes)}",
            f"  chosen  {self.chosen}",
        ]
        for other in self.others:
            fits = "fits" if other.peak_bytes <= self.budget_bytes else "does not fit"
            lines.append(f"  other   {other} ({fits})")
        return "\n".join(lines)
