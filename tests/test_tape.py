"""A compiled function replayed: it does what the function does, or is not there."""

import pytest
import torch

from symadj.forward import tape
from symadj.forward.tape import Recipe, Tape

empty_strided_cpu = torch._C._dynamo.guards._empty_strided_cpu
reinterpret_tensor = torch._C._dynamo.guards._reinterpret_tensor


def cpp_fused_scale(x, inner, result):
    torch.mul(x, 2.0, out=inner)
    torch.add(inner, 1.0, out=result)


class Library:
    @staticmethod
    def mm(a, b, out):
        torch.mm(a, b, out=out)


extern_kernels = Library


def product_of_scaled(args):
    """As the compiler writes them: twice x plus one, times y, flat; and the first factor."""
    x, y = args
    args.clear()
    inner = empty_strided_cpu((3, 4), (4, 1), torch.float64)
    scaled = empty_strided_cpu((3, 4), (4, 1), torch.float64)
    cpp_fused_scale(x, inner, scaled)
    del inner
    product = empty_strided_cpu((3, 2), (2, 1), torch.float64)
    extern_kernels.mm(scaled, reinterpret_tensor(y, (4, 2), (2, 1), 0), out=product)
    return (reinterpret_tensor(product, (6,), (1,), 0), scaled)


def asks_for_a_number(args):
    (x,) = args
    return (x.item(),)


def calls_torch(args):
    (x,) = args
    return (torch.add(x, 1),)


def calls_what_is_not_known(args):
    return (Recipe(*args),)


def inputs():
    return torch.randn(3, 4, dtype=torch.float64), torch.randn(8, dtype=torch.float64)


def test_a_tape_does_what_the_function_does_for_any_inputs():
    recipe = Recipe.of(product_of_scaled, 2)
    replay = Tape(recipe)
    assert len(recipe.kernels) == 2
    results = []
    for _ in range(2):
        given = inputs()
        found = replay(list(given))
        expected = product_of_scaled(list(given))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
        results.append((found, [x.clone() for x in found]))
    for found, before in results:  # a later call leaves the results of an earlier one alone
        assert all(torch.equal(a, b) for a, b in zip(found, before, strict=True))


def test_intermediate_results_lie_in_the_workspace(monkeypatch):
    made = []
    recipe = Recipe.of(product_of_scaled, 2)
    count = lambda *how: (made.append(how), empty_strided_cpu(*how))[1]
    replay = Tape(recipe._replace(tools={**recipe.tools, tape.ALLOCATE: count}))
    replay(list(inputs()))
    assert len(made) == 2  # what is returned, and not the intermediate result


@pytest.mark.parametrize("function", [asks_for_a_number, calls_torch, calls_what_is_not_known])
def test_what_a_stand_in_cannot_show_has_no_tape(function):
    assert Recipe.of(function, 1) is None


def test_large_intermediate_results_have_no_tape(monkeypatch):
    monkeypatch.setattr(tape, "MOST_WORKSPACE_BYTES", 100)
    assert Recipe.of(product_of_scaled, 2) is None
