"""What f carries along: random numbers, autocast, buffers. The backward pass finds them again."""

import copy

import pytest
import torch
import torchdiffeq
from torch import nn
from torch.nn.utils import parametrizations

import symadj
from symadj import errors
from symadj.tableaus import TABLEAUS
from tests.fields import gradient_error

T = torch.tensor([0.0, 0.31, 0.8], dtype=torch.float64)
FIXED = {"method": "rk4", "options": {"step_size": 0.1}}
CUBIC = {"method": "rk4", "options": {"step_size": 0.1, "interp": "cubic"}}
ADAPTIVE = {"method": "dopri5", "rtol": 0.1, "atol": 0.1, "options": {"first_step": 0.1}}


def gradients(solve, field, y0, arguments, seed=3, **others):
    """Return a gradient of a solve, and where the random generator stood after the solve."""
    torch.manual_seed(seed)
    arguments = {**arguments, "options": dict(arguments["options"]), **others}
    ys = solve(field, y0, T, **arguments)
    state = torch.get_rng_state()
    params = tuple(field.parameters()) if isinstance(field, nn.Module) else ()
    return torch.autograd.grad(ys.sin().sum(), (y0, *params)), state


class Dropping(nn.Module):
    """A network with dropout."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)
        ).double()

    def forward(self, t, y):
        return self.net(y)


@pytest.mark.parametrize("arguments", [FIXED, CUBIC, ADAPTIVE], ids=["linear", "cubic", "adaptive"])
@pytest.mark.parametrize("checkpoints", [None, "stages", "activations"])
def test_dropout_draws_the_same_numbers_again(arguments, checkpoints):
    field, y0 = Dropping(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    theirs, _ = gradients(torchdiffeq.odeint, field, y0, arguments)
    ours, state = gradients(symadj.odeint, field, y0, arguments, checkpoints=checkpoints)
    assert gradient_error(ours, theirs) < 1e-12
    assert torch.equal(torch.get_rng_state(), state)  # the backward pass put it back


def test_dropout_in_second_derivatives():
    field, y0 = Dropping(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def twice(solve):
        torch.manual_seed(3)
        ys = solve(field, y0, T, **CUBIC)
        (first,) = torch.autograd.grad(ys.sin().sum(), y0, create_graph=True)
        return torch.autograd.grad((first**2).sum(), (y0, *list(field.parameters())[:-1]))

    assert gradient_error(twice(symadj.odeint), twice(torchdiffeq.odeint)) < 1e-12


def test_random_numbers_that_are_not_drawn_at_first():
    weight = torch.randn(3, 3, dtype=torch.float64)

    def field(t, y):
        slope = torch.tanh(y @ weight)
        return slope if t < 0.4 else nn.functional.dropout(slope, 0.3)

    y0 = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    theirs, stood = gradients(torchdiffeq.odeint, field, y0, FIXED)
    ours, stands = gradients(symadj.odeint, field, y0, FIXED)
    assert gradient_error(ours, theirs) < 1e-12
    assert torch.equal(stands, stood)


def test_a_field_that_draws_nothing_keeps_no_states_of_generators():
    y0 = torch.ones(3, requires_grad=True)
    solution = symadj.solve(lambda t, y: -y, y0, T.float())
    assert all(step.carried == () for step in solution.steps)
    assert solution.stats.snapshot_bytes == (len(solution.steps) + 1) * y0.nbytes


def test_autocast_is_in_force_backward_as_it_was_forward():
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    field = lambda t, y: net(y)
    y0, t = torch.randn(4, 3, requires_grad=True), T.float()
    inputs = (y0, *net.parameters())

    def by_hand():
        """Five steps of the midpoint rule: slopes in bfloat16, the state in float32."""
        y, h = y0, 0.1
        for n in range(5):
            middle = y + 0.05 * field(n * h, y).float()
            y = y + 0.1 * field((n + 0.5) * h, middle).float()
        return y

    grid = torch.linspace(0, 0.5, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = symadj.odeint(field, y0, grid, method="midpoint")[-1]
        theirs = by_hand()
    assert (ours - theirs).abs().max() < 1e-6
    backward = torch.autograd.grad(ours.sin().sum(), inputs)
    reference = torch.autograd.grad(theirs.sin().sum(), inputs)
    # Autocast keeps its casted weights for all evaluations by hand, so that their gradients are
    # added up in bfloat16, of 8 bits; here in float32.
    assert gradient_error(backward, reference) < 2**-8
    # And the other way round: none forward, so none backward, though it is on there.
    plain = symadj.odeint(field, y0, t, **FIXED).sin().sum()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = torch.autograd.grad(plain, inputs)
    theirs = torch.autograd.grad(symadj.odeint(field, y0, t, **FIXED).sin().sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_solve_under_autocast_does_not_cut_the_weights_off():
    """Autocast caches casted weights: those of an evaluation without a graph must not be there."""
    net = nn.Linear(3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ys = symadj.odeint(lambda t, y: net(y), torch.randn(2, 3), T.float(), **FIXED)
        loss = net(ys[-1].detach()).float().sum()
    loss.backward()
    assert net.weight.grad.abs().sum() > 0


class Normalized(nn.Module):
    """Spectral normalization and batch normalization: buffers that every evaluation changes."""

    def __init__(self):
        super().__init__()
        self.linear = parametrizations.spectral_norm(nn.Linear(12, 12, dtype=torch.float64))
        self.norm = nn.BatchNorm1d(12, dtype=torch.float64)
        self.register_buffer("evaluations", torch.zeros((), dtype=torch.long))

    def forward(self, t, y):
        self.evaluations += 1
        return torch.tanh(self.norm(self.linear(y)))


def test_restored_buffers_make_the_gradient_exact_and_are_left_alone():
    ours = Normalized()
    theirs = copy.deepcopy(ours)
    y0 = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)

    def gradient(solve, field, **options):
        arguments = {**FIXED, "options": {**FIXED["options"], **options}}
        ys = solve(field, y0, T, **arguments)
        counted = field.evaluations.item()
        # The bias before a normalization moves nothing.
        params = [p for name, p in field.named_parameters() if name != "linear.bias"]
        found = torch.autograd.grad(ys.sin().sum(), (y0, *params))
        return found, field.evaluations.item() - counted

    reference, _ = gradient(torchdiffeq.odeint, theirs)
    restored, more = gradient(symadj.odeint, ours, restore_buffers=True)
    assert gradient_error(restored, reference) < 1e-12
    assert more == 0
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-12)
    ours.load_state_dict(copy.deepcopy(ours.state_dict()))
    _, more = gradient(symadj.odeint, ours)
    assert more > 0  # documented: without the option they are changed again


def test_buffers_of_what_is_no_module_cannot_be_restored():
    with pytest.raises(errors.InvalidInputError, match=r"nn\.Module"):
        symadj.odeint(lambda t, y: -y, torch.ones(1), T, options={"restore_buffers": True})


@pytest.mark.parametrize(
    "method", ["dopri5", "dopri8", "rk4", "trbdf2", "radauIIA5", "gl4", "sdirk2"]
)
@pytest.mark.parametrize("n", [3, 3000])  # Newton's equations: solved directly, by GMRES
def test_autocast_is_for_f_and_leaves_the_solver_its_precision(method, n):
    rate = torch.linspace(0.5, 2.0, n, requires_grad=True)

    def func(t, y):  # nothing that autocast would touch
        return -rate * y * (1 + t)

    found = []
    for is_on in (False, True):
        y0 = torch.ones(n, requires_grad=True)
        t = torch.tensor([0.0, 0.13, 0.31, 0.5], requires_grad=True)
        options = {} if TABLEAUS[method].is_adaptive else {"step_size": 0.1}
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_on):
            ys = symadj.odeint(func, y0, t, rtol=1e-4, atol=1e-4, method=method, options=options)
        ys.pow(2).sum().backward()
        found.append((ys.detach(), y0.grad, t.grad, rate.grad.clone()))
        rate.grad = None
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
