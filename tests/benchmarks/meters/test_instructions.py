"""Instructions of code whose count is known. Slow, a minute each, so only where asked for."""

import math
import shutil

import pytest

from benchmarks.environment import counts_instructions
from benchmarks.meters import count_instructions, instructions

asked = pytest.mark.skipif(
    not counts_instructions() or shutil.which("valgrind") is None,
    reason="takes minutes: set SYMADJ_BENCHMARK_INSTRUCTIONS=1, and have valgrind",
)


def test_without_valgrind_the_count_is_nan(monkeypatch):
    monkeypatch.setattr(instructions.shutil, "which", lambda _: None)
    assert math.isnan(count_instructions("1 + 1", "pass"))


@asked
def test_ten_times_the_work_is_ten_times_the_instructions():
    setup = "x = torch.rand(1000, 1000)"
    once, ten_times = (count_instructions(f"for _ in range({n}): x.sin()", setup) for n in (1, 10))
    assert ten_times / once == pytest.approx(10, rel=0.03)
    assert once > 1000 * 1000 / 16  # a vector register holds 16 floats at the most
