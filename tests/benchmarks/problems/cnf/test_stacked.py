import torch

from benchmarks.discretization import Discretization, adaptive
from benchmarks.gradient import flat_gradient, flatten, forward, relative_error
from benchmarks.meters import CountingField
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS
from benchmarks.problems.cnf.stacked import StackedField

CPU = torch.device("cpu")


def gas():
    return PROBLEMS["cnf-gas"].build("3 x 8-12-8 batch 4", torch.float64, CPU)


def block_by_block(instance, solve, how):
    """Loss and gradient where every block is a solve of its own, as people stack them."""
    state = tuple(part.detach().requires_grad_() for part in instance.y0)
    inputs = (*state, *instance.field.parameters())
    unit = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for block in instance.field.blocks:
        ys = solve(block, state, unit, how)
        state = tuple(part[-1] for part in ys)
    loss = instance.loss(ys)
    return loss, flatten(torch.autograd.grad(loss, inputs))


def test_each_block_acts_in_its_unit_of_time():
    field = StackedField([torch.nn.Module() for _ in range(3)])
    for m, block in enumerate(field.blocks):
        block.forward = lambda t, y, m=m: torch.stack((torch.tensor(float(m)), t))
    for time, m, local in ((0.0, 0, 0.0), (0.5, 0, 0.5), (1.0, 1, 0.0), (2.75, 2, 0.75)):
        assert field(torch.tensor(time), torch.zeros(1)).tolist() == [m, local]
    # A solver may look beyond either end.
    assert field(torch.tensor(3.0), torch.zeros(1)).tolist() == [2, 1.0]
    assert field(torch.tensor(-0.5), torch.zeros(1)).tolist() == [0, -0.5]
    assert field.t.tolist() == [0.0, 3.0]
    assert field.jump_t == (1.0, 2.0)


def test_one_block_never_jumps():
    assert StackedField([torch.nn.Identity()]).jump_t == ()


def stopping_at_the_jumps(instance, rtol):
    jumps = torch.tensor(instance.jump_t, dtype=torch.float64)
    return Discretization("dopri5", rtol, rtol / 100, {"first_step": 0.05, "jump_t": jumps})


def test_one_solve_that_stops_at_the_jumps_is_the_blocks_solved_in_turn():
    instance = gas()
    solve = METHODS[BASELINE].solver("default")
    whole = forward(instance, solve, stopping_at_the_jumps(instance, 1e-9))
    loss, gradient = block_by_block(
        instance, solve, adaptive("dopri5", rtol=1e-9, atol=1e-11, first_step=0.05)
    )
    torch.testing.assert_close(whole.loss, loss, rtol=1e-8, atol=0)
    assert relative_error(flatten(whole.gradient()), gradient) < 1e-6


def test_gradient_of_a_solve_that_stops_at_the_jumps_is_that_of_backpropagation():
    instance = gas()
    how = stopping_at_the_jumps(instance, 1e-6)
    expected, gradient = (
        flat_gradient(instance, METHODS[name].solver("default"), how)
        for name in (BASELINE, "symadj")
    )
    assert relative_error(gradient, expected) < 1e-12


def test_a_solver_that_is_not_told_of_the_jumps_works_more_for_it():
    instance = gas()
    told = stopping_at_the_jumps(instance, 1e-6)
    untold = adaptive("dopri5", rtol=told.rtol, atol=told.atol, first_step=0.05)
    num_evaluations = []
    for how in (told, untold):
        counter = CountingField(instance.field, is_adaptive=True)
        with torch.no_grad():
            METHODS[BASELINE].solver("default")(counter, instance.y0, instance.t, how)
        num_evaluations.append(counter.nfe["forward"])
    assert num_evaluations[1] > 3 * num_evaluations[0]


def test_gradient_of_blocks_solved_in_turn_is_that_of_backpropagation():
    instance = gas()
    how = adaptive("dopri5", rtol=1e-6, atol=1e-8, first_step=0.05)
    losses, gradients = zip(
        *(
            block_by_block(instance, METHODS[name].solver("default"), how)
            for name in (BASELINE, "symadj")
        ),
        strict=True,
    )
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-13, atol=0)
    assert relative_error(gradients[1], gradients[0]) < 1e-12
