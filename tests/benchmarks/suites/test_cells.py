"""What asv sees: discovered by asv's own code, as it would."""

import itertools
import os
import pickle
import subprocess
import sys
import sysconfig
from dataclasses import astuple
from pathlib import Path

import pytest
from asv_runner.discovery import disc_benchmarks

import benchmarks
from benchmarks.cases import CASE_FIELDS
from benchmarks.environment import SIZE_VARIABLE
from benchmarks.measure import Failure
from benchmarks.measurement import METER_UNITS, Measurement, applicable_meters
from benchmarks.methods import METHODS
from benchmarks.problems import PROBLEMS
from benchmarks.sizes import SIZE_SETS, selected_size_set
from benchmarks.suites import cells, digits, flows, kdv, mlp, networks, physics

SUITES = (
    digits.DigitsClassifier,
    digits.DigitsCnf,
    kdv.Kdv,
    kdv.KdvCheckpoints,
    kdv.KdvCheckpointsPeers,
    mlp.MlpOrder,
    mlp.MlpOrderFixedGrid,
    mlp.MlpSize,
    mlp.MlpSteps,
    mlp.MlpCheckpoints,
    mlp.MlpOverhead,
    mlp.MlpOverheadCompiled,
    *(flows.CnfPower, flows.CnfGas, flows.CnfHepmass),
    *(flows.CnfMiniboone, flows.CnfBsds300, flows.CnfMnist),
    *(networks.OdeNet, networks.LatentOde, networks.Spiral),
    *(physics.CahnHilliard, physics.HamiltonianSpring, physics.HamiltonianPendulum),
    physics.Robertson,
)
USED = tuple(suite for suite in SUITES if suite.cases)  # at the size that is asked for


def meters_of(suite):
    with_floor = suite in (mlp.MlpOverhead, mlp.MlpOverheadCompiled)
    return applicable_meters(on_cuda=False, with_instructions=False, with_floor=with_floor)


METERS = meters_of(mlp.MlpSize)


@pytest.fixture(scope="module")
def discovered():
    root = Path(benchmarks.__file__).parent
    return {benchmark.name: benchmark for benchmark in disc_benchmarks(str(root))}


def test_asv_finds_every_meter_of_every_problem_and_nothing_else(discovered):
    expected = {
        f"suites.{suite.__module__.rpartition('.')[2]}.{suite.__name__}.track_{meter}"
        for suite in USED
        for meter in meters_of(suite)
    }
    assert set(discovered) == expected


def test_together_the_classes_have_every_case_once():
    cases = [case for suite in SUITES for case in suite.cases]
    assert sorted(cases, key=repr) == sorted(selected_size_set().cases(), key=repr)
    for suite in USED:
        assert sorted(itertools.product(*suite.params), key=repr) == sorted(
            map(astuple, suite.cases), key=repr
        )


def test_units_versions_and_parameters(discovered):
    for name, benchmark in discovered.items():
        meter = name.rpartition(".track_")[2]
        assert benchmark.unit == METER_UNITS[meter]
        assert benchmark.type == "track"
        assert tuple(benchmark.param_names) == CASE_FIELDS
        ((problem,), methods, *_) = benchmark._params
        assert benchmark.version == PROBLEMS[problem].version
        assert set(methods) <= set(METHODS)
        for values in benchmark._params:
            assert {type(value) for value in values} <= {str, int}


def test_each_class_has_a_cache_of_its_own_but_those_that_take_turns(discovered):
    keys = {}
    for name, benchmark in discovered.items():
        keys.setdefault(name.rpartition(".")[0], set()).add(benchmark.setup_cache_key)
    assert all(len(key) == 1 for key in keys.values())
    assert len(set().union(*keys.values())) == len(USED) - 2
    assert keys["suites.kdv.KdvCheckpoints"] == keys["suites.kdv.KdvCheckpointsPeers"]
    assert keys["suites.mlp.MlpOverhead"] == keys["suites.mlp.MlpOverheadCompiled"]


def test_classes_that_take_turns_are_measured_whole(monkeypatch):
    asked = []
    monkeypatch.setattr(cells, "measure_cases", lambda cases: asked.append(cases) or {})
    for suite in (kdv.KdvCheckpoints(), kdv.KdvCheckpointsPeers()):
        suite.setup_cache()
    assert asked == [(*kdv.KdvCheckpoints.cases, *kdv.KdvCheckpointsPeers.cases)] * 2


def test_a_failed_case_is_one_failed_cell(monkeypatch):
    suite = kdv.Kdv()
    good, bad, *_ = suite.cases
    figures = Measurement(**{meter: float(i) for i, meter in enumerate(METER_UNITS)})
    outcomes = {good: figures, bad: Failure("boom at line 7")}
    monkeypatch.setattr(cells, "measure_cases", lambda _: outcomes)
    cache = pickle.loads(pickle.dumps(suite.setup_cache()))
    for position, meter in enumerate(METER_UNITS):
        if meter not in METERS:
            continue
        track = getattr(suite, f"track_{meter}")
        assert track(cache, *astuple(good)) == position
        with pytest.raises(cells.CaseFailedError, match="boom at line 7"):
            track(cache, *astuple(bad))


def test_cases_that_are_not_all_combinations_are_refused():
    with pytest.raises(ValueError, match="split them into classes"):

        class _Whole(cells.CaseSuite, problem="mlp-order"):
            pass


def test_every_problem_of_every_size_has_a_class():
    defined = {type(suite()).__name__: suite for suite in SUITES}
    assert len(defined) == len(SUITES)
    problems = {case.problem for size_set in SIZE_SETS.values() for case in size_set.cases()}
    assert problems == set(PROBLEMS)
    if selected_size_set() is SIZE_SETS["quick"]:
        assert flows.CnfPower.cases == ()
        assert not hasattr(flows.CnfPower, "track_wall_seconds")


@pytest.mark.parametrize("size", [size for size in SIZE_SETS if size != "quick"])
def test_the_cases_of_every_size_can_be_split_into_the_classes(size):
    code = (
        "from benchmarks.suites import digits, flows, kdv, mlp, networks, physics;"
        "from benchmarks.suites.cells import CaseSuite;"
        "print(sum(len(suite.cases) for suite in CaseSuite.__subclasses__()))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {SIZE_VARIABLE: size},
        cwd=Path(benchmarks.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(listed.stdout) == len(SIZE_SETS[size].cases())


def test_asv_imports_every_module_where_the_checkout_is_not_on_the_path(tmp_path):
    root, purelib = Path(benchmarks.__file__).parent, sysconfig.get_path("purelib")
    code = (
        "import sys\n"
        "from asv_runner._aux import update_sys_path\n"
        "from asv_runner.discovery import disc_benchmarks\n"
        f"update_sys_path({str(root)!r})\n"
        f"found = len(list(disc_benchmarks({str(root)!r})))\n"
        f"print(found, sys.path.index({str(root.parent)!r}), sys.path.index({purelib!r}))"
    )
    apart = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=apart,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, checkout, environment = map(int, done.stdout.splitlines()[-1].split())
    assert found > 0
    assert checkout > environment  # so that the version under test is the environment's
