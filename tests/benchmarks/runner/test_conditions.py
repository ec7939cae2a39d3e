"""Whatever may change a result gives the journal another folder."""

import re

import pytest

from benchmarks.runner import conditions
from benchmarks.runner.code_state import CodeState
from benchmarks.runner.conditions import folder_name, machine_name

STATE = CodeState(commit="a" * 40, digest="b" * 64, is_dirty=False)


@pytest.fixture
def present(monkeypatch, tmp_path):
    monkeypatch.setattr(conditions, "code_state", lambda _: STATE)
    return conditions.conditions(tmp_path)


def test_the_same_conditions_have_the_same_folder(present):
    assert folder_name(present) == folder_name(dict(reversed(present.items())))


def test_every_condition_counts(present):
    assert {"commit", "code", "is_dirty", "size", "device", "python", "packages"} <= set(present)
    assert {"num_threads", "num_cpu", "cpu", "gpu", "counts_instructions"} <= set(present)
    for name in present:
        assert folder_name(present | {name: "another"}) != folder_name(present)
    newer = {**present["packages"], "torch": "99"}
    assert folder_name(present | {"packages": newer}) != folder_name(present)


def test_a_machine_is_named_for_what_it_is(present):
    cpu = present | {"cpu": "AMD EPYC(TM) 7B13", "num_cpu": 2, "gpu": None}
    assert machine_name(cpu) == "AMD-EPYC-TM-7B13-2-cores"
    assert machine_name(cpu | {"gpu": "NVIDIA H100 80GB HBM3"}) == "NVIDIA-H100-80GB-HBM3"
    assert re.fullmatch(r"[A-Za-z0-9.-]+", machine_name(present))
