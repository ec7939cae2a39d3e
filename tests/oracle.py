"""Backpropagation through the steps that a solve took, written down once more and plainly.

It shares no code with the solver: the tableau's numbers, and the places of the steps and outputs,
are all it takes. Sizes of adaptive steps are constants, those of a grid differences of its points.
"""

import torch
from torch.utils import _pytree as pytree

from symadj.tableaus import TABLEAUS


def outputs_along(func, y0, t, solution, *, method="dopri5", step_size=None, interp="linear"):
    """Return the outputs as ordinary functions of ``y0``, ``t`` and what ``func`` reads."""
    tableau = TABLEAUS[method]
    leaves, spec = pytree.tree_flatten(y0)
    shapes = [leaf.shape for leaf in leaves]
    y = torch.cat([leaf.reshape(-1) for leaf in leaves])
    adaptive = tableau.is_adaptive

    def unflatten(flat):
        parts = torch.split(flat, [shape.numel() for shape in shapes], dim=-1)
        views = [
            part.reshape((*flat.shape[:-1], *shape))
            for part, shape in zip(parts, shapes, strict=True)
        ]
        return pytree.tree_unflatten(views, spec)

    def f(time, flat):
        slope = func(time.to(flat.real.dtype), unflatten(flat))
        return torch.cat([leaf.reshape(-1) for leaf in pytree.tree_leaves(slope)]).to(flat.dtype)

    if not adaptive and step_size is not None:
        direction = 1.0 if t[-1] > t[0] else -1.0
        grid = torch.cat(
            [t[0] + direction * step_size * torch.arange(len(solution.steps)).to(t), t[-1:]]
        )
    else:
        grid = t
    outputs = [y]
    for n, step in enumerate(solution.steps):
        stretch = step.stretch
        if adaptive:
            start = t[0] + (stretch.t0 - t[0].detach())
            h = torch.tensor(stretch.h, dtype=torch.float64)
        else:
            start, h = grid[n], grid[n + 1] - grid[n]
        slopes = []
        for row, node in zip(tableau.a, tableau.c, strict=True):
            stage = y + sum(
                (float(a) * h * k for a, k in zip(row, slopes, strict=True)), torch.zeros_like(y)
            )
            slopes.append(f(start + float(node) * h, stage))
        following = y + h * sum(float(b) * k for b, k in zip(tableau.b, slopes, strict=True))
        if not tableau.is_fsal:
            slopes.append(f(start + h, following))
        for j in range(step.first_output, step.first_output + len(step.thetas)):
            theta = (t[j] - start) / h
            if not adaptive and interp == "linear":
                outputs.append(y + theta * (following - y))
                continue
            weights = [
                sum(float(w) * theta ** (power + 1) for power, w in enumerate(row))
                for row in tableau.dense_output
            ]
            outputs.append(y + h * sum(w * k for w, k in zip(weights, slopes, strict=True)))
        y = following
    return unflatten(torch.stack(outputs))
