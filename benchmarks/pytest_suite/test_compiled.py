"""Compiled gradients are those of the eager solve, over the same steps, to rounding.

    python -m pytest benchmarks/pytest_suite/test_compiled.py -o addopts=

In float64, over steps of one size, so that no rounding moves a step. Each case compiles anew.
"""

from __future__ import annotations

import shutil
import warnings

import pytest
import torch

from benchmarks.discretization import Discretization, fixed_grid
from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.methods import METHODS
from benchmarks.problems import PROBLEMS
from benchmarks.sizes import selected_size_set

TOLERANCE = 1e-12
NUM_STEPS = 6

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="torch's default compiler needs a C++ compiler",
)


def _schemes(duration: float) -> dict[str, Discretization]:
    """Return steps of one size, by a method for fixed steps and by one with error control."""
    step = duration / NUM_STEPS
    return {
        "rk4": fixed_grid("rk4", num_steps=NUM_STEPS, duration=duration),
        "dopri5": Discretization("dopri5", 1e3, 1e3, {"first_step": step, "max_step": step}),
    }


@pytest.mark.parametrize("tableau", ["rk4", "dopri5"])
@pytest.mark.parametrize("size", selected_size_set().sweeps["mlp-overhead"].sizes)
def test_the_gradient_is_that_of_the_eager_solve(size: str, tableau: str) -> None:
    """Hold the compiled gradient to the eager one; going on without graphs is an error."""
    instance = PROBLEMS["mlp-overhead"].build(size, torch.float64, torch.device("cpu"))
    how = _schemes(float(instance.t[-1] - instance.t[0]))[tableau]
    eager = flat_gradient(instance, METHODS["symadj-stages"].solver("default"), how)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        compiled = [
            flat_gradient(instance, METHODS["symadj-compiled"].solver("default"), how)
            for _ in range(2)
        ]
    assert relative_error(compiled[0], eager) < TOLERANCE
    assert torch.equal(*compiled)
