"""What breaks the library changes what it should, and its list of survivors is of this code."""

import ast
import tomllib
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants
from tests.mutation.targets import TARGETS

ROOT = Path(__file__).parents[2]
SURVIVORS = tomllib.loads(Path(__file__).with_name("survivors.toml").read_text("utf-8"))

SOURCE = '''
"""Text stays."""
ROW = _exact("1/2 -3")

@cache(1)
def f(x: 1) -> 2:
    if x < 3:
        raise ValueError(4 + 5)
    g(x)
    return not x
'''


def test_one_change_at_a_time():
    found = list(mutants(SOURCE))
    assert [mutant.name for mutant in found] == [
        "module: 1/2 -> 2/2",
        "module: -3 -> -4",
        "f: x < 3 -> x <= 3",
        "f: 3 -> 4",
        "f: raise ValueError(4 + 5) -> pass",
        "f: g(x) -> pass",
        "f: not x -> x",
    ]
    assert len({ast.unparse(mutant.tree) for mutant in found}) == len(found)


def test_one_that_occurs_again_is_numbered():
    assert [mutant.name for mutant in mutants("x = a + a + a")] == [
        "module: a + a + a -> a + a - a",
        "module: a + a -> a - a",
    ]
    assert [mutant.name for mutant in mutants("x = 1, 1")] == [
        "module: 1 -> 2",
        "module: 1 -> 2 (#2)",
    ]


def test_targets_and_their_tests_are_there():
    for module, tests in TARGETS.items():
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        assert all((ROOT / test).exists() for test in tests)
    assert SURVIVORS.keys() <= TARGETS.keys()


@pytest.mark.parametrize("module", SURVIVORS)
def test_what_is_explained_is_a_change_to_this_code(module):
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    assert SURVIVORS[module].keys() <= {mutant.name for mutant in mutants(source)}
    assert all(SURVIVORS[module].values())
