"""The peers that are installed here: right gradients, at the error that their steps have."""

import math
import time
import warnings

import pytest
import torch

from benchmarks.cases import Case
from benchmarks.discretization import adaptive, fixed_grid
from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.measure import measure
from benchmarks.meters import peak_bytes
from benchmarks.methods import BASELINE, METHODS, NotOfferedError
from benchmarks.problems import PROBLEMS
from benchmarks.references import true_gradient
from benchmarks.timing import Effort

CPU = torch.device("cpu")
MODULES = {
    "torchode": "torchode",
    "torchdyn": "torchdyn.numerics.odeint",
    "diffrax-recursive": "diffrax",
    "diffrax-backsolve": "diffrax",
    "paper-symplectic": "torch_symplectic_adjoint",
    "paper-aca": "torch_symplectic_adjoint",
}
ONE_ROUND = Effort(min_rounds=1, max_rounds=1, seconds=0.0)

# their warnings are theirs
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(params=MODULES)
def method(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(MODULES[request.param])
    return METHODS[request.param]


def mlp(dtype):
    return PROBLEMS["mlp-size"].build("2-8-2 batch 4", dtype, CPU)


def dopri5(tolerance, jump_t=()):
    return adaptive("dopri5", rtol=tolerance, atol=tolerance, first_step=0.05, jump_t=jump_t)


def test_the_error_falls_with_the_tolerance(method):
    truth = true_gradient(mlp(torch.float64), first_step=0.05)
    loose, tight = (
        relative_error(flat_gradient(mlp(torch.float64), method.solve, dopri5(tolerance)), truth)
        for tolerance in (1e-4, 1e-8)
    )
    assert tight < 1e-6
    assert tight < loose / 50


def test_single_precision_stays_what_it_is(method):
    instance = mlp(torch.float32)
    ys = method.solve(instance.field, instance.y0, instance.t, dopri5(1e-4))
    assert ys.dtype == torch.float32
    assert ys.shape == (2, *instance.y0.shape)
    double = flat_gradient(mlp(torch.float64), method.solve, dopri5(1e-4))
    error = relative_error(flat_gradient(instance, method.solve, dopri5(1e-4)), double)
    assert 1e-9 < error < 1e-3


def test_what_is_exact_on_a_grid_is_backpropagations_gradient(method):
    tableau = "midpoint" if method.name.startswith(("paper", "torchdyn")) else "heun2"
    how = fixed_grid(tableau, num_steps=8, duration=2.0)
    instance = mlp(torch.float64)
    expected = flat_gradient(instance, METHODS[BASELINE].solve, how)
    error = relative_error(flat_gradient(instance, method.solve, how), expected)
    assert (error < 1e-12) == method.is_exact


def test_a_state_of_several_parts(method):
    instance = PROBLEMS["digits-cnf"].build("64-8-64 batch 4", torch.float64, CPU)
    truth = true_gradient(instance, first_step=0.05)
    assert relative_error(flat_gradient(instance, method.solve, dopri5(1e-7)), truth) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_stacked_blocks(method, dtype):
    instance = PROBLEMS["cnf-power"].build("2 x 6-12-6 batch 4", dtype, CPU)
    how = dopri5(1e-6, instance.jump_t)
    if method.name.startswith("paper"):
        with pytest.raises(NotOfferedError, match="jumps wrongly"):
            flat_gradient(instance, method.solve, how)
        return
    truth = true_gradient(instance, first_step=0.05)
    assert relative_error(flat_gradient(instance, method.solve, how), truth) < 1e-4


def test_a_tableau_that_it_lacks_is_named(method):
    how = adaptive("trbdf2", rtol=1e-3, atol=1e-3, first_step=0.1)
    with pytest.raises(NotOfferedError, match=r"trbdf2.*it has .*dopri5"):
        flat_gradient(mlp(torch.float64), method.solve, how)


def test_it_is_measured_beside_the_others(method):
    cases = [
        Case("mlp-order", name, "dopri5", "2-8-2 batch 4", "adaptive", "default")
        for name in (method.name, BASELINE)
    ]
    ours, base = measure(cases, ONE_ROUND, CPU).values()
    assert ours.wall_seconds > 0
    assert ours.first_call_seconds > (2 * ours.wall_seconds if method.name[:3] == "dif" else 0)
    assert ours.peak_cpu_bytes > 0
    assert 0 < ours.relative_gradient_error < 1e-2
    assert ours.wall_ratio > 0 or not math.isnan(ours.outcome)
    if method.name.startswith("diffrax"):
        assert math.isnan(ours.nfe_forward)  # the torch field is not what is called
        assert ours.num_accepted == base.num_accepted


def test_diffrax_compiles_once_for_a_field_and_runs_on_one_thread():
    pytest.importorskip("diffrax")
    solve = METHODS["diffrax-recursive"].solve
    instance = PROBLEMS["mlp-size"].build("784-256-256-784 batch 256", torch.float32, CPU)
    seconds, busy = [], []
    for _ in range(3):
        start, start_busy = time.perf_counter(), time.process_time()
        flat_gradient(instance, solve, dopri5(1e-4))
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - start_busy)
    assert max(seconds[1:]) < seconds[0] / 2
    assert busy[-1] < 1.4 * seconds[-1]  # two threads would be busy for twice as long


def test_memray_sees_what_jax_allocates():
    jax = pytest.importorskip("jax")
    make = jax.jit(lambda x: x + jax.numpy.arange(25 * 2**20, dtype="float32"))
    measured = peak_bytes(lambda: make(1.0).block_until_ready(), CPU).cpu
    assert 100 * 2**20 <= measured < 101 * 2**20
