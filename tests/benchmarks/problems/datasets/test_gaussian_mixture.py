import torch

from benchmarks.problems.datasets.gaussian_mixture import draw_gaussian_mixture


def drawn(dim, num_samples, seed=0):
    return draw_gaussian_mixture(dim, num_samples, torch.Generator().manual_seed(seed))


def test_every_coordinate_has_mean_0_and_variance_1():
    samples = drawn(6, 100_000)
    torch.testing.assert_close(samples.mean(dim=0), torch.zeros(6).double(), rtol=0, atol=0.02)
    torch.testing.assert_close(samples.var(dim=0), torch.ones(6).double(), rtol=0, atol=0.03)


def test_coordinates_are_correlated_and_not_normal():
    samples = drawn(6, 100_000)
    correlation = torch.corrcoef(samples.T) - torch.eye(6)
    assert correlation.abs().max() > 0.1
    kurtosis = (samples**4).mean(dim=0) - 3
    assert kurtosis.abs().max() > 0.1


def test_the_mixture_is_the_same_for_every_seed():
    a, b = drawn(3, 100_000, seed=0), drawn(3, 100_000, seed=1)
    assert not torch.equal(a, b)
    torch.testing.assert_close(torch.cov(a.T), torch.cov(b.T), rtol=0, atol=0.03)
