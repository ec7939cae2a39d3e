"""Ray: a node that goes takes no result with it, and no group is entered twice."""

import argparse
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.environment import SIZE_VARIABLE
from benchmarks.groups import grouped, title
from benchmarks.runner import cluster, command
from benchmarks.sizes import selected_size_set

ROOT = Path(__file__).parents[3]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra")


def run(journal):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-u", "-m", "tests.benchmarks.runner.ray_cluster", str(journal)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@needs_ray
def test_a_node_that_is_taken_away_loses_no_result(tmp_path, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "smoke")
    cases = [case for case in selected_size_set().cases() if case.method == "symadj"]
    wanted = {
        title(group) for group in grouped(cases) if re.match("mlp-steps|mlp-size", title(group))
    }
    assert len(wanted) >= 4
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taken away" in done.stdout
    assert "lost, " in done.stdout, done.stdout
    files = list(tmp_path.glob("*/groups/*.json"))
    titles = [json.loads(file.read_text())["title"] for file in files]
    assert sorted(titles) == sorted(wanted)
    measured = re.findall(r"^\[\d+/\d+\] (.*), \d+ cases", done.stdout, re.MULTILINE)
    assert sorted(measured) == sorted(wanted)
    # Begun again, with all of it there: nothing is left to do.
    kept = {file: file.read_bytes() for file in files}
    again = run(tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"{len(wanted)} of {len(wanted)} groups were measured before" in again.stdout
    assert {file: file.read_bytes() for file in tmp_path.glob("*/groups/*.json")} == kept


def test_without_ray_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cluster, "ray", None)
    monkeypatch.setattr(command, "JOURNAL", tmp_path)
    monkeypatch.setattr(command, "_enter", lambda _: None)
    given = command_line("--engine", "ray")
    assert command.main(given) == command.MISUSED
    assert "'ray' extra" in capsys.readouterr().err


def command_line(*words):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["run", *words])
