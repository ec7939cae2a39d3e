"""The problems of the literature: their published sizes, and the gradient of each."""

import pytest
import torch

from benchmarks.gradient import flat_gradient, relative_error
from benchmarks.methods import BASELINE, METHODS
from benchmarks.problems import PROBLEMS

from .small import SMALL, loosely

CPU = torch.device("cpu")
NUM_PARAMETERS = {
    # A concatsquash layer has (inputs + 4) x outputs: its weights, its bias, and the time's two
    # gates and shift. By FFJORD's table of flows, hidden layers and widths:
    "cnf-power": 5 * (10 * 60 + 2 * 64 * 60 + 64 * 6),
    "cnf-gas": 5 * (12 * 160 + 2 * 164 * 160 + 164 * 8),
    "cnf-hepmass": 10 * (25 * 210 + 214 * 210 + 214 * 21),
    "cnf-miniboone": 47 * 860 + 864 * 860 + 864 * 43,
    "cnf-bsds300": 2 * (67 * 1260 + 2 * 1264 * 1260 + 1264 * 63),
    "cnf-mnist": 800_636,
    "cahn-hilliard": 41_200,
    # The whole classifier of torchdiffeq's example has 208,266 (0.22 M in the paper): a stem of
    # 132,096 for MNIST's larger images, this, and a head of 778.
    "odenet": 208_266 - 132_096 - 778,
    "latent-ode": 604,
    "hamiltonian-spring": 41_000,
    "hamiltonian-pendulum": 41_000,
    "robertson": 188 + 3,  # the published network, and the rates
    "spiral": 252,
}


def test_they_are_the_problems_with_a_published_size():
    assert set(NUM_PARAMETERS) == {name for name in PROBLEMS if PROBLEMS[name].published_size}


@pytest.mark.parametrize("name", NUM_PARAMETERS)
class TestEveryCitedProblem:
    def test_size_of_the_publication_has_its_number_of_parameters(self, name):
        problem = PROBLEMS[name]
        network, _, batch_size = problem.published_size.rpartition(" batch ")
        assert int(batch_size) > 0
        instance = problem.build(f"{network} batch 1", torch.float32, CPU)
        assert sum(p.numel() for p in instance.field.parameters()) == NUM_PARAMETERS[name]

    @pytest.mark.parametrize("checkpoints", ["states", "stages"])
    def test_gradient_is_that_of_backpropagation_through_the_same_steps(self, name, checkpoints):
        problem = PROBLEMS[name]
        instance = problem.build(SMALL[name], torch.float64, CPU)
        how = loosely(problem, instance.jump_t)
        expected = flat_gradient(instance, METHODS[BASELINE].solver("default"), how)
        gradient = flat_gradient(instance, METHODS["symadj"].solver(checkpoints), how)
        assert relative_error(gradient, expected) < 1e-12

    def test_a_network_in_other_words_is_refused(self, name):
        with pytest.raises(ValueError, match=r"for example|of the form"):
            PROBLEMS[name].build("large batch 2", torch.float64, CPU)
