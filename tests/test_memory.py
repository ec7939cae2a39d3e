"""Nothing of a solve survives its backward pass, or a forward pass that was abandoned."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

import symadj
from symadj.forward.field import Field
from tests.fields import Network

T = torch.tensor([0.0, 0.6, 1.0], dtype=torch.float64)
WAYS = {
    "states": {},
    "stages": {"checkpoints": "stages"},
    "activations": {"checkpoints": "activations"},
    "grid": {"method": "rk4", "options": {"step_size": 0.1, "interp": "cubic"}},
    "implicit": {"method": "trbdf2", "rtol": 1e-3, "atol": 1e-3},
}


@pytest.fixture(autouse=True)
def _no_collector():
    """Reference cycles then live on, and are seen."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watched(Network):
    """A network that remembers, weakly, every state and every graph it was evaluated on."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, t, y):
        slope = super().forward(t, y)
        self.seen += [weakref.ref(y), weakref.ref(slope)]
        return slope

    def alive(self):
        return [ref() for ref in self.seen if ref() is not None]


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("second", [False, True])
def test_nothing_survives_a_backward_pass(arguments, second):
    field = Watched()
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    if second and arguments.get("method") == "trbdf2":
        pytest.skip("implicit methods have no second derivatives")
    loss = symadj.odeint(field, y0, T, **arguments).sin().sum()
    if second:
        (gradient,) = torch.autograd.grad(loss, y0, create_graph=True)
        loss = gradient.sin().sum()
    loss.backward()
    del loss
    if second:
        del gradient
    y0.grad = None
    assert field.alive() == []


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_the_collector_has_nothing_to_do(arguments):
    if arguments.get("method") == "trbdf2":
        pytest.skip("torch's vmap, by which Jacobians are made, leaves cycles of its own")
    field = Network()
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    for _ in range(2):  # what the first call of anything leaves behind is not the solver's
        gc.collect()
        symadj.odeint(field, y0, T, **arguments).sin().sum().backward()
    assert gc.collect() == 0


@pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
def test_nothing_survives_a_forward_pass_that_is_abandoned(arguments):
    field = Watched()
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    ys = symadj.odeint(field, y0, T, **arguments)
    del ys
    assert field.alive() == []


def test_the_field_itself_is_let_go(monkeypatch):
    fields = []
    make = Field.__init__

    def remember(self, *args, **kwargs):
        make(self, *args, **kwargs)
        fields.append(self)

    monkeypatch.setattr(Field, "__init__", remember)
    y0 = torch.randn(3, dtype=torch.float64, requires_grad=True)
    net = Network()
    closure = lambda t, y: net(t, y)
    alive = weakref.ref(closure)
    symadj.odeint(closure, y0, T)[-1].sum().backward()
    fields.clear()
    del closure
    assert alive() is None


def test_the_history_of_what_was_handed_over_is_not_kept_by_the_solve():
    """After the backward pass, while the outputs live on."""
    weight = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    square = weight @ weight.T
    alive = weakref.ref(square)
    y0 = torch.randn(3, dtype=torch.float64)
    ys = symadj.odeint(lambda t, y, m: torch.tanh(m @ y), y0, T, args=(square,))
    ys.sum().backward()
    del square
    assert alive() is None
    assert ys.shape == (3, 3)


def test_a_thousand_training_steps_in_flat_memory():
    net = Network(dim=2, width=4)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    y0 = torch.randn(4, 2, dtype=torch.float64)

    def tensors():
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    counts = []
    for step in range(1000):
        optimizer.zero_grad()
        ys = symadj.odeint(
            net, y0, T, method="midpoint", checkpoints="stages" if step % 2 else None
        )
        ys[-1].pow(2).mean().backward()
        optimizer.step()
        if step % 100 == 99:
            counts.append(tensors())
    assert max(counts) - min(counts) <= 2
    assert counts[-1] <= counts[0]


@pytest.mark.parametrize("retain_graph", [False, True])
def test_states_go_as_the_sweep_passes_them(retain_graph):
    """Unless they may be wanted again."""
    gone = []

    class Watching(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 3)
            self.storages = ()

        def forward(self, t, y):
            gone.append(sum(storage.expired() for storage in self.storages))
            return self.net(y)

    field, y0 = Watching(), torch.randn(5, 3, requires_grad=True)
    ys = symadj.odeint(
        field, y0, torch.tensor([0.0, 1.0]), method="rk4", options={"step_size": 0.1}
    )
    node = ys.grad_fn
    while not hasattr(node, "saved_tensors"):
        ((node, _),) = node.next_functions
    states = [x for x in node.saved_tensors if x is not None and x.shape == (15,)]
    assert len(states) >= 10
    field.storages = [StorageWeakRef(state.untyped_storage()) for state in states]
    del states
    gone.clear()
    (first,) = torch.autograd.grad(ys[-1].sum(), y0, retain_graph=retain_graph)
    assert gone == sorted(gone)
    assert gone[-1] == 0 if retain_graph else gone[-1] >= 8
    if retain_graph:
        (second,) = torch.autograd.grad(ys[-1].sum(), y0)
        assert torch.equal(first, second)
