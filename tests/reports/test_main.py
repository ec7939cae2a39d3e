"""The command line: exit status, messages, and what is read by default."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reports.__main__ import main
from tests.reports.invented import (
    Fields,
    Values,
    case,
    fields,
    meters,
    write_asv,
    write_pytest_benchmark,
)
from tests.reports.loaders.test_training import write_training

TWO = ("symadj", "torchdiffeq-backprop")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_build_writes_the_site_and_says_where(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_asv(Path(".asv/results"), {"Kdv": fields("kdv", methods=TWO)})

    assert main(["build"]) == 0

    captured = capsys.readouterr()
    assert captured.out == "report: reports/site/index.html\n"
    assert captured.err == ""
    assert (here / "reports/site/index.html").is_file()


def test_default_places_are_read_together(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_asv(Path("reports/results"), {"Kdv": fields("kdv", methods=TWO)}, machine="reference")
    write_asv(Path(".asv/results"), {"Kdv": fields("kdv", methods=TWO)}, machine="zz-own")
    folder = Path(".benchmarks/Linux")
    folder.mkdir(parents=True)
    write_pytest_benchmark(folder / "0001.json", [case()])

    assert main(["build"]) == 0

    page = (here / "reports/site/index.html").read_text(encoding="utf-8")
    assert "machine <strong>zz-own</strong>" in page
    assert (here / "reports/site/reference-asv/index.html").is_file()
    assert (here / "reports/site/invented-pytest-benchmark/index.html").is_file()


def test_nothing_to_read_says_where_it_looked_and_what_to_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build"]) == 2
    message = capsys.readouterr().err
    assert ".asv/results" in message
    assert "`make report`" in message
    assert not (here / "reports").exists()

    assert main(["build", "--results", "nowhere"]) == 2
    assert "no measurement was found in nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["table", "picture"])
def test_every_command_needs_results(
    here: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    output = ["--output", "x.svg"] if command == "picture" else []
    assert main([command, *output]) == 2
    assert "make report" in capsys.readouterr().err


def test_a_broken_file_is_named_and_the_rest_built(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_asv(Path("r"), {"Kdv": fields("kdv", methods=TWO)})
    bad = file.with_name("0bad-env.json")
    bad.write_text(file.read_text(encoding="utf-8")[:200], encoding="utf-8")

    assert main(["build", "--results", "r", "--output", "out"]) == 0

    assert "warning: r/invented/0bad-env.json: not valid JSON" in capsys.readouterr().err
    page = (here / "out/machines.html").read_text(encoding="utf-8")
    assert "r/invented/0bad-env.json: not valid JSON" in page


def test_failed_cells_are_counted_and_the_status_stays_zero(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def values(named: Fields) -> Values:
        known = meters(named)
        return dict.fromkeys(known) if named["method"] == "symadj" else known

    write_asv(Path("r"), {"Kdv": fields("kdv")}, values=values)

    assert main(["build", "--results", "r"]) == 0

    assert "1 case of 6 failed" in capsys.readouterr().err


def test_several_folders_and_files_can_be_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_asv(Path("a"), {"Kdv": fields("kdv", methods=TWO)}, machine="a")
    write_asv(Path("b"), {"Kdv": fields("kdv", methods=TWO)}, machine="b")
    write_pytest_benchmark(Path("run.json"), [case()])

    arguments = ["--results", "a", "b", "--pytest-benchmark", "run.json", "--output", "out"]
    assert main(["build", *arguments]) == 0

    assert (here / "out/b-asv/index.html").is_file()
    assert (here / "out/invented-pytest-benchmark/index.html").is_file()
    shutil.rmtree(here / "out")


def test_a_training_and_a_commit_that_git_knows_are_shown(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    message = ["commit", "--quiet", "--allow-empty", "-m", "<b>A subject"]
    subprocess.run([*git, *message], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    write_asv(Path("r"), {"Cnf": fields("digits-cnf")}, commit=done.stdout.strip())
    write_training(Path("r"))

    assert main(["build", "--results", "r", "--output", "out"]) == 0

    history = (here / "out/history.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;A subject" in history
    page = (here / "out/problem-digits-cnf.html").read_text(encoding="utf-8")
    assert "Held-out loss over time" in page
    assert "raw/1-cccccccc-quick-digits-cnf-seed-0.json" in page
    copy = here / "out/raw/1-cccccccc-quick-digits-cnf-seed-0.json"
    assert copy.read_bytes() == next(Path("r").rglob("*seed-0.json")).read_bytes()


def test_table_and_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_asv(Path("r"), {"Kdv": fields("kdv")})

    assert main(["table", "--results", "r"]) == 0
    assert capsys.readouterr().out.startswith("| problem | against |")

    assert main(["picture", "--results", "r", "--output", "docs/overview.svg"]) == 0
    assert (here / "docs/overview.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_picture_that_cannot_be_made_is_explained(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_asv(Path("r"), {"Kdv": fields("kdv", methods=("symadj",))})

    assert main(["picture", "--results", "r", "--output", "x.svg"]) == 2
    assert "no case has both" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_explained(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_asv(Path("r"), {"Kdv": fields("kdv", methods=TWO)})
    Path("out").write_text("a file", encoding="utf-8")

    assert main(["build", "--results", "r", "--output", "out"]) == 1
    assert "cannot write the report" in capsys.readouterr().err
