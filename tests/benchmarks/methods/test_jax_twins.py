"""Every twin in JAX returns what its torch field returns."""

import warnings

import pytest
import torch

from benchmarks.methods import NotOfferedError
from benchmarks.methods.jax_twins import TWINS, jax_twin
from benchmarks.problems import PROBLEMS
from tests.benchmarks.problems.small import SMALL, as_tuple

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("default")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
WITHOUT = {"odenet", "cnf-mnist"}  # convolutions


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - WITHOUT))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_the_twin_is_the_field(name, dtype, tolerance):
    instance = PROBLEMS[name].build(SMALL[name], dtype, CPU)
    twin = jax_twin(jax, instance.field.to("cpu"))
    arrays = {key: value.numpy() for key, value in instance.field.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    y = tuple(
        part + 0.1 * torch.randn(part.shape, generator=generator, dtype=dtype)
        for part in as_tuple(instance.y0)
    )
    jax_y = tuple(part.numpy() for part in y)
    is_tuple = isinstance(instance.y0, tuple)
    for time in (0.0, 0.3, 0.99, float(instance.t[-1])):
        t = torch.tensor(time, dtype=dtype)
        with torch.no_grad():
            expected = as_tuple(instance.field(t, y if is_tuple else y[0]))
        slopes = twin(arrays, jax.numpy.asarray(t.numpy()), jax_y if is_tuple else jax_y[0])
        for slope, reference in zip(as_tuple(slopes), expected, strict=True):
            assert slope.dtype == reference.numpy().dtype
            torch.testing.assert_close(
                torch.tensor(slope.tolist(), dtype=dtype),
                reference,
                rtol=tolerance,
                atol=tolerance * float(reference.abs().max()),
            )


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_a_field_without_a_twin_says_so(name):
    instance = PROBLEMS[name].build(SMALL[name], torch.float64, CPU)
    with pytest.raises(NotOfferedError, match="has no twin in JAX"):
        jax_twin(jax, instance.field)


def test_every_twin_is_tested():
    used = set()
    for name in set(PROBLEMS) - WITHOUT:
        field = PROBLEMS[name].build(SMALL[name], torch.float64, CPU).field
        used |= {type(module) for module in field.modules()}
    assert set(TWINS) <= used
