"""A small site, built once, and the results it is built from."""

from dataclasses import replace
from pathlib import Path

import pytest

from reports.loaders import load
from reports.output import build_site
from reports.records import Commit, Loaded
from tests.reports.invented import (
    ALL_PROBLEMS,
    METHODS,
    case,
    dial_classes,
    fields,
    plausible,
    write_asv,
    write_history,
    write_provenance,
    write_pytest_benchmark,
)

HOSTILE = "z<script>alert('machine')</script>"
HOSTILE_PROBLEM = "</script><img src=x onerror=alert(1)> $\\frac{1}$ 数"


def hostile_folder(name: str) -> str:
    """A machine's name as the name of a folder: the slash is not allowed there."""
    return name.replace("/", "|")


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two machines and two commits, one of them under hostile names."""
    folder = tmp_path_factory.mktemp("results")
    file = write_asv(
        folder,
        {
            "Cnf": fields("digits-cnf", tableaus=("bosh3", "dopri5")),
            **dial_classes(),
            "Steps": fields("mlp-steps", methods=METHODS[:3], steps=(10, 40)),
            "New": fields(HOSTILE_PROBLEM, methods=("symadj", "torchdiffeq-backprop", "a<b>&c")),
        },
        values=plausible,
    )
    write_provenance(file, packages={"torch": "2.13.0", "<b>": HOSTILE})
    write_asv(folder, {"Kdv": fields("kdv")}, commit="f" * 40, date=1_600_000_000_000)
    write_asv(folder, {"Kdv": fields("kdv")}, machine=hostile_folder(HOSTILE))
    return folder


@pytest.fixture(scope="session")
def grown_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of several commits, with steps, unknown methods, and hostile names everywhere."""
    folder = tmp_path_factory.mktemp("grown")
    flow = fields(
        "cnf-miniboone",
        methods=(*METHODS, "method-x", "method-y"),
        sizes=("1 x 43-860-860-43 batch 1000",),
    )
    hostile = fields(HOSTILE_PROBLEM, methods=("symadj", "torchdiffeq-backprop", HOSTILE))
    commits = [f"{number:x}" * 40 for number in range(1, 7)]
    write_history(folder, commits, {**ALL_PROBLEMS, "Flow": flow, "Hostile": hostile})
    write_history(folder, commits[-1:], machine=hostile_folder(HOSTILE))
    loaded = load([folder], [])
    subjects = {name: Commit(f"{HOSTILE_PROBLEM} {HOSTILE}", ("v<b>0.1",)) for name in commits[2:3]}
    output = tmp_path_factory.mktemp("grown-site")
    build_site(replace(loaded, commits=subjects), output)
    return output


@pytest.fixture(scope="session")
def loaded(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The results and one file of pytest-benchmark's, as the loaders read them."""
    file = write_pytest_benchmark(
        tmp_path_factory.mktemp("benchmarks") / "run.json",
        [case(), case(method="torchdiffeq-backprop")],
    )
    broken = tmp_path_factory.mktemp("broken") / "<i>broken.json"
    broken.write_text('{"machine_info": {', encoding="utf-8")
    return load([results], [file, broken])


@pytest.fixture(scope="session")
def site(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    output = tmp_path_factory.mktemp("site")
    build_site(loaded, output)
    return output
