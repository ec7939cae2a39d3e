"""What every problem promises, whatever it is about."""

import pytest
import torch

from benchmarks.cases import SMOKE
from benchmarks.gradient import forward
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS
from benchmarks.problems.problem import parse_size, parse_widths

CPU = torch.device("cpu")
SMALLEST = {name: SMOKE.cases(name)[0] for name in PROBLEMS}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", PROBLEMS)
class TestEveryProblem:
    def test_field_returns_the_states_shapes(self, name):
        instance = PROBLEMS[name].build(SMALLEST[name].size, torch.float64, CPU)
        slope = instance.field(instance.t[0], instance.y0)
        assert type(slope) is type(instance.y0)
        for part, of in zip(as_tuple(slope), as_tuple(instance.y0), strict=True):
            assert part.shape == of.shape
            assert part.shape[0] == instance.batch_size

    def test_field_is_the_same_with_and_without_a_graph(self, name):
        instance = PROBLEMS[name].build(SMALLEST[name].size, torch.float64, CPU)
        with_graph = as_tuple(instance.field(instance.t[1], instance.y0))
        with torch.no_grad():
            without = as_tuple(instance.field(instance.t[1], instance.y0))
        for a, b in zip(with_graph, without, strict=True):
            assert torch.equal(a, b)
            assert not b.requires_grad

    def test_every_dtype_sees_the_same_numbers(self, name):
        single, double = (
            PROBLEMS[name].build(SMALLEST[name].size, dtype, CPU)
            for dtype in (torch.float32, torch.float64)
        )
        for a, b in zip(as_tuple(single.y0), as_tuple(double.y0), strict=True):
            assert a.dtype == torch.float32
            assert torch.equal(a, b.float())
        for a, b in zip(single.field.parameters(), double.field.parameters(), strict=True):
            assert torch.equal(a, b.float())

    def test_is_made_the_same_twice_and_differently_from_another_seed(self, name):
        size = SMALLEST[name].size
        first, again, other = (
            PROBLEMS[name].build(size, torch.float64, CPU, seed) for seed in (0, 0, 1)
        )
        for a, b, c in zip(*(as_tuple(made.y0)[:1] for made in (first, again, other)), strict=True):
            assert torch.equal(a, b)
            assert not torch.equal(a, c)

    def test_loss_depends_on_y0_and_on_every_parameter(self, name):
        case = SMALLEST[name]
        instance = PROBLEMS[name].build(case.size, torch.float64, CPU)
        solve = METHODS[BASELINE].solver("default")
        gradient = forward(instance, solve, case.discretization(instance)).gradient()
        assert all(bool(part.count_nonzero()) for part in gradient)

    def test_says_where_it_comes_from(self, name):
        problem = PROBLEMS[name]
        assert problem.name == name
        assert problem.source
        assert problem.data in ("real", "computed", "synthetic")


@pytest.mark.parametrize("size", ["", "2-50-2", "2-50-2 batch", "2-50-2 batch 0", "batch 3"])
def test_a_size_without_network_or_batch_is_refused(size):
    with pytest.raises(ValueError, match="for example '2-50-2 batch 20'"):
        parse_size(size)


def test_a_network_that_is_no_vector_field_is_refused():
    with pytest.raises(ValueError, match="maps 2 numbers to 3"):
        parse_widths("2-50-3")
    with pytest.raises(ValueError, match="state has 64"):
        parse_widths("2-50-2", num_inputs=64)
    with pytest.raises(ValueError, match="widths joined"):
        parse_widths("2x50x2")
