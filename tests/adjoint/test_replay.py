"""The stages of a step made again: what they are, what has its graph, what is kept for how long."""

import pytest
import torch

from symadj.adjoint.pullback import Pullback
from symadj.adjoint.replay import SMALL_STATE_BYTES, Replay
from symadj.forward.field import Field
from symadj.forward.weights import Weights
from symadj.state import Packing
from symadj.tableaus import TABLEAUS

STEP_SIZE = 0.3
FEW = SMALL_STATE_BYTES // torch.float64.itemsize
TABLEAU = TABLEAUS["rk4"]
NUM_STAGES = TABLEAU.num_stages


def f(t, y):
    return torch.sin(y) * (1 + t)


def textbook(y):
    """Return the stage states, and the state at the end."""
    slopes, states = [], []
    for row, c in zip(TABLEAU.rows, TABLEAU.nodes, strict=False):
        states.append(
            y + STEP_SIZE * sum((float(a) * k for a, k in zip(row, slopes, strict=True)), 0 * y)
        )
        slopes.append(f(torch.tensor(float(c) * STEP_SIZE, dtype=y.dtype), states[-1]))
    b = (float(b) for b in TABLEAU.weights)
    return states, y + STEP_SIZE * sum(w * k for w, k in zip(b, slopes, strict=False))


def make(y, graphs):
    field, weights = Field(f, Packing.of(y)), Weights(TABLEAU, y)
    weights.scale(STEP_SIZE)
    replay = Replay(Pullback(field, (), want_time=False), weights, y, graphs)
    times = [torch.tensor(float(c) * STEP_SIZE, dtype=y.dtype) for c in TABLEAU.nodes]
    return field, replay, times


@pytest.mark.parametrize("end", ["wanted", "known", "not wanted"])
@pytest.mark.parametrize("graphs", [1, 2, 3, NUM_STAGES, NUM_STAGES + 5])
@pytest.mark.parametrize("num", [FEW, FEW + 1])
def test_stages_are_made_again(num, graphs, end):
    y = torch.randn(num, dtype=torch.float64)
    states, y1 = textbook(y)
    field, replay, times = make(y, graphs)
    known = torch.full_like(y, 7.0) if end == "known" else None
    with torch.no_grad():
        stages, y_next = replay(y, times, known, want_end=end != "not wanted")
    first_graph = NUM_STAGES if graphs == 1 else max(NUM_STAGES - graphs, 0)

    assert set(stages.evaluations) == set(range(first_graph, NUM_STAGES))
    assert field.nfe == NUM_STAGES - (graphs == 1 and end != "wanted")
    if end == "wanted":
        torch.testing.assert_close(y_next, y1, rtol=0, atol=1e-14)
    else:
        assert y_next is known
    for i, evaluation in stages.evaluations.items():
        torch.testing.assert_close(evaluation.leaves[0].detach(), states[i], rtol=0, atol=1e-14)
        assert not any(isinstance(slope, torch.Tensor) for slope in evaluation.slopes)
    for i in reversed(range(first_graph)):
        if replay.needs_slopes:  # what comes after a stage is written over before it is asked for
            for slope in replay.slopes.k[i:]:
                slope.fill_(float("nan"))
        torch.testing.assert_close(stages.states[i], states[i], rtol=0, atol=1e-14)


@pytest.mark.parametrize("graphs", [1, 2, NUM_STAGES - 1, NUM_STAGES, NUM_STAGES + 1])
@pytest.mark.parametrize("num", [FEW, FEW + 1])
def test_slopes_are_needed_only_to_make_large_states_again(num, graphs):
    _, replay, _ = make(torch.randn(num, dtype=torch.float64), graphs)
    assert replay.has_all_graphs == (graphs >= NUM_STAGES)
    assert replay.needs_slopes == (num > FEW and graphs < NUM_STAGES)


@pytest.mark.parametrize("want_end", [True, False])
def test_slopes_that_graphs_keep_take_no_memory_and_are_let_go(want_end):
    y = torch.randn(FEW + 1, dtype=torch.float64)
    y = torch.cat([y, y, y])  # more than torch sums over columns
    _, replay, times = make(y, NUM_STAGES)
    with torch.no_grad():
        replay(y, times, None, want_end=want_end)
    assert not any(slope.shape == y.shape for slope in replay.slopes.k)
