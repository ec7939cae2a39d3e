"""The floor is what it says: so many evaluations, so many products, so many bytes."""

import math

import pytest
import torch

from benchmarks import floor
from benchmarks.cases import Case
from benchmarks.floor import PROBLEM, BareWork, bare_case, floor_bytes, graph_bytes, has_floor
from benchmarks.measure import measure, prepare
from benchmarks.meters import CountingField
from benchmarks.problems import PROBLEMS
from benchmarks.timing import Effort

CPU = torch.device("cpu")
SIZE = "16-32-16 batch 64"
ONCE = Effort(min_rounds=1, max_rounds=1, seconds=0.0)


def case(kept, method="symadj", tableau="dopri5"):
    return Case(PROBLEM, method, tableau, SIZE, "adaptive", kept)


@pytest.fixture
def instance():
    return PROBLEMS[PROBLEM].build(SIZE, torch.float32, CPU)


def test_only_symadj_has_a_floor_and_only_there():
    assert has_floor(case("states"))
    assert not has_floor(case("default", "torchdiffeq-backprop"))
    assert not has_floor(Case("mlp-size", "symadj", "dopri5", SIZE, "adaptive", "states"))
    assert bare_case(case("states")) != bare_case(case("stages"))


@pytest.mark.parametrize("kept", ["states", "stages", "activations"])
def test_the_bare_work_has_the_counts_of_the_gradient(kept, instance):
    counts, _ = prepare(case(kept)).counted()
    work = BareWork.of(instance, counts)
    again = CountingField(instance.field, is_adaptive=True)
    BareWork(replace_field(instance, again), work.num_plain, work.num_vjps).run()
    assert sum(again.nfe.values()) == sum(counts.nfe.values())
    assert sum(again.nvjp.values()) == sum(counts.nvjp.values())
    pulled, replayed = counts.nvjp["backward"], 5 * len(counts.accepted_steps)
    expected = {"states": pulled + replayed, "stages": pulled, "activations": 0}
    assert counts.nfe["backward"] == expected[kept]


def test_the_floor_counts_states_stages_graphs_and_outputs(instance, monkeypatch):
    monkeypatch.setattr(floor, "graph_bytes", lambda *_: 1_000_000)
    counts, _ = prepare(case("states")).counted()
    state_bytes = instance.y0.nbytes
    floors = {
        kept: floor_bytes(instance, counts, kept=kept, device=CPU)
        for kept in ("states", "stages", "activations")
    }
    num_steps = len(counts.accepted_steps)
    assert floors["stages"] - floors["states"] == pytest.approx(
        5 * num_steps * state_bytes, abs=2_000
    )
    least = (num_steps + 6 + 4) * state_bytes
    assert floors["states"] > least + sum(param.nbytes for param in instance.field.parameters())
    # The graph of the evaluation that is at work is measured with it.
    num_others = sum(counts.nvjp.values()) - 1
    assert floors["activations"] - floors["stages"] == pytest.approx(num_others * 1e6, abs=2_000)


def test_a_graph_holds_on_to_what_its_activations_return():
    instance = PROBLEMS[PROBLEM].build("64-64-64-64 batch 256", torch.float32, CPU)
    of_tanh = 2 * 256 * 64 * 4
    # Its nodes take a kilobyte or two each.
    assert of_tanh < graph_bytes(instance, instance.y0, CPU) < 1.15 * of_tanh


@pytest.mark.parametrize("tableau", ["dopri5", "dopri8"])
def test_a_gradient_is_measured_against_its_floor(tableau):
    cases = [case(kept, tableau=tableau) for kept in ("states", "stages", "activations")]
    for figures in measure(cases, ONCE, CPU).values():
        assert figures.bare_ratio > 0.5
        assert figures.bare_ratio_low <= figures.bare_ratio <= figures.bare_ratio_high
        assert 0.9 < figures.peak_cpu_bytes / figures.floor_bytes < 2
        assert figures.num_bare_operations < figures.num_operations
        assert math.isnan(figures.num_bare_instructions)  # not asked for


def test_other_cases_have_none():
    other = Case("mlp-size", "symadj", "dopri5", "2-8-2 batch 4", "adaptive", "default")
    (figures,) = measure([other], ONCE, CPU).values()
    assert math.isnan(figures.bare_ratio)
    assert math.isnan(figures.floor_bytes)


def replace_field(instance, field):
    return type(instance)(field, instance.y0, instance.t, instance.loss, instance.batch_size)
