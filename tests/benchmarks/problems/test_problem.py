"""What every problem promises, whatever it is about."""

import pytest
import torch

from benchmarks.gradient import forward
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS
from benchmarks.problems.problem import parse_size, parse_widths

from .small import SMALL, as_tuple, loosely

CPU = torch.device("cpu")


def built(name, dtype=torch.float64, seed=0):
    return PROBLEMS[name].build(SMALL[name], dtype, CPU, seed)


@pytest.mark.parametrize("name", PROBLEMS)
class TestEveryProblem:
    def test_field_returns_the_states_shapes(self, name):
        instance = built(name)
        assert SMALL[name].endswith(f" batch {instance.batch_size}")
        for time in (instance.t[0], instance.t[-1]):
            slope = instance.field(time, instance.y0)
            assert type(slope) is type(instance.y0)
            for part, of in zip(as_tuple(slope), as_tuple(instance.y0), strict=True):
                assert part.shape == of.shape
                assert part.shape[0] == instance.batch_size
                assert not of.requires_grad

    def test_field_is_the_same_with_and_without_a_graph(self, name):
        instance = built(name)
        with_graph = as_tuple(instance.field(instance.t[1], instance.y0))
        with torch.no_grad():
            without = as_tuple(instance.field(instance.t[1], instance.y0))
        for a, b in zip(with_graph, without, strict=True):
            assert torch.equal(a, b)
            assert a.requires_grad
            assert not b.requires_grad

    def test_every_dtype_sees_the_same_numbers(self, name):
        single, double = built(name, torch.float32), built(name)
        for a, b in zip(as_tuple(single.y0), as_tuple(double.y0), strict=True):
            assert a.dtype == torch.float32
            assert torch.equal(a, b.float())
        for a, b in zip(single.field.parameters(), double.field.parameters(), strict=True):
            assert torch.equal(a, b.float())
        assert single.t.dtype == torch.float64
        assert single.jump_t == double.jump_t
        for part in as_tuple(single.field(single.t[0], single.y0)):
            assert part.dtype == torch.float32

    def test_is_made_the_same_twice_and_differently_from_another_seed(self, name):
        first, again, other = (built(name, seed=seed) for seed in (0, 0, 1))
        a, b, c = (as_tuple(made.y0)[0] for made in (first, again, other))
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
        for p, q in zip(first.field.parameters(), again.field.parameters(), strict=True):
            assert torch.equal(p, q)

    def test_loss_depends_on_y0_and_on_every_parameter(self, name):
        solve = METHODS[BASELINE].solver("default")
        forward_pass = forward(built(name), solve, loosely(PROBLEMS[name]))
        assert forward_pass.loss.isfinite()
        for part in forward_pass.gradient():
            assert part.isfinite().all()
            assert part.count_nonzero() > 0

    def test_says_where_it_comes_from(self, name):
        problem = PROBLEMS[name]
        assert problem.name == name
        assert problem.source
        assert problem.version
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
