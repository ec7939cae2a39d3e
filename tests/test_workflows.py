"""The workflows: what they name exists, and nothing of a pull request gets into a shell."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def steps():
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, job in workflow["jobs"].items():
            for step in job["steps"]:
                yield pytest.param(
                    step, id=f"{file.name}-{name}-{step.get('name', step.get('uses'))}"
                )


def test_there_is_one():
    assert WORKFLOWS


@pytest.mark.parametrize("step", list(steps()))
def test_what_a_step_names_exists(step):
    commands = step.get("run", "")
    for target in re.findall(r"\bmake ([a-z-]+)", commands):
        assert target in TARGETS
    for script in re.findall(r"(?:^|\s)(\.[a-z]+/[a-z]+)$", commands, re.MULTILINE):
        assert (ROOT / script).is_file()
    assert ("uses" in step) != ("run" in step)
    assert re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", step.get("uses", "a/b@v1"))


@pytest.mark.parametrize("step", list(steps()))
def test_no_expression_is_pasted_into_a_shell(step):
    # A branch may be named `$(rm -rf .)`: what comes from outside goes through the environment.
    assert "${{" not in step.get("run", "")


def test_jobs_ask_for_what_they_need_and_no_more():
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert "timeout-minutes" in job
            assert set(job.get("needs", [])) <= set(workflow["jobs"])
            writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
            assert writes <= {"pull-requests", "pages", "id-token"}


def test_every_make_target_says_what_it_does():
    text = (ROOT / "Makefile").read_text()
    listed = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    assert listed == TARGETS
    for target in listed - {"check"}:
        assert re.search(rf"^{target}:.*## ", text, re.MULTILINE), target
