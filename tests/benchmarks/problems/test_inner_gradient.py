import torch

from benchmarks.problems.inner_gradient import inner_gradient, inner_vjp

X = torch.tensor([[0.3, -1.2], [0.5, 2.0]], dtype=torch.float64)
V = torch.tensor([[1.0, -1.0], [0.5, 2.0]], dtype=torch.float64)


def cubic(x):
    return x**3 / 3


def rolled(x):
    return x**2 * x.roll(1, dims=-1)


def test_gradient_and_its_derivatives():
    torch.testing.assert_close(inner_gradient(cubic, X), X**2)
    x = X.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: inner_gradient(rolled, y), (x,))


def test_vjp_and_its_derivatives():
    value, vjp = inner_vjp(rolled, X, V)
    torch.testing.assert_close(value, rolled(X))
    _, expected = torch.func.vjp(rolled, X)
    torch.testing.assert_close(vjp, expected(V)[0])
    x = X.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: inner_vjp(rolled, y, V), (x,))


def test_nothing_is_recorded_where_gradients_are_disabled():
    x = X.clone().requires_grad_()
    with torch.no_grad():
        assert not inner_gradient(cubic, x).requires_grad
        assert not any(part.requires_grad for part in inner_vjp(cubic, x, V))
    assert x.grad is None


def test_parameters_are_reached_though_the_state_is_not_differentiated():
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    gradient = inner_gradient(lambda x: weight * cubic(x), X)
    (through,) = torch.autograd.grad(gradient.sum(), weight)
    torch.testing.assert_close(through, X.square().sum())
