"""The site: links, figures, addresses, escaping, size, bytes."""

import html.parser
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from reports.output import build_site
from reports.pages import render_site
from reports.records import Loaded
from tests.reports.conftest import HOSTILE, HOSTILE_PROBLEM, hostile_folder

LIMIT_BYTES = 300_000


class _Page(html.parser.HTMLParser):
    """Links, anchors, elements and text of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._is_script = False
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        self.links += [value for key in ("href", "src") if (value := named.get(key))]
        if named.get("id"):
            self.ids.append(named["id"] or "")
        self._is_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._is_script = False

    def handle_data(self, data: str) -> None:
        (self.scripts if self._is_script else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pages(site: Path) -> list[_Page]:
    """Every page, those of the first run first."""
    files = sorted(site.rglob("*.html"), key=lambda file: (len(file.parts), file))
    return [_Page(file) for file in files]


def _page(pages: list[_Page], name: str) -> _Page:
    return next(page for page in pages if page.file.name == name)


def test_every_page_is_there(site: Path) -> None:
    names = {file.name for file in site.glob("*.html")}
    assert names >= {
        "index.html",
        "problems.html",
        "problem-digits-cnf.html",
        "problem-mlp-steps.html",
        "choose.html",
        "paper.html",
        "history.html",
        "history-digits-cnf.html",
        "compare.html",
        "measurements.html",
        "machines.html",
    }


def test_every_link_resolves(pages: list[_Page]) -> None:
    for page in pages:
        for link in page.links:
            if link == "data:,":
                continue
            path, _, anchor = link.partition("#")
            target = (page.file.parent / unquote(path)).resolve() if path else page.file
            assert target.is_file(), f"{page.file.name}: {link}"
            if anchor:
                assert anchor in _Page(target).ids, f"{page.file.name}: {link}"


def test_anchors_are_unique(pages: list[_Page]) -> None:
    for page in pages:
        assert len(page.ids) == len(set(page.ids)), page.file.name


def test_no_page_names_an_address_outside(site: Path) -> None:
    for file in site.rglob("*"):
        if file.suffix not in {".html", ".css", ".js", ".svg", ".csv"}:
            continue
        if file.name == "plotly.min.js":
            continue
        addresses = set(re.findall(r"(?:https?:)?//[a-z0-9][^\s\"'<)]*", file.read_text("utf-8")))
        outside = {a for a in addresses if not a.startswith("http://www.w3.org/")}
        assert not outside, file.name


def test_plotly_is_written_once(site: Path) -> None:
    assert [file.parent for file in site.rglob("plotly*.js")] == [site]


def test_every_figure_has_its_data_its_picture_and_its_csv(pages: list[_Page]) -> None:
    total = 0
    for page in pages:
        data = [json.loads(text) for text in page.scripts if text.startswith('{"data"')]
        figures = [attrs["id"] for tag, attrs in page.tags if tag == "figure"]
        assert len(data) == len(figures), page.file.name
        for key, spec in zip(figures, data, strict=True):
            assert spec["data"]
            assert all(trace["x"] for trace in spec["data"])
            assert (page.file.parent / f"figures/{key}.svg").is_file()
            assert (page.file.parent / f"figures/{key}.csv").is_file()
        total += len(figures)
    assert total > 20


def test_every_page_shows_its_numbers_without_javascript(pages: list[_Page]) -> None:
    for name in (
        "index.html",
        "choose.html",
        "problem-digits-cnf.html",
        "paper.html",
    ):
        tags = [tag for tag, _ in _page(pages, name).tags]
        assert "table" in tags
        assert "img" in tags
    rows = [tag for tag, _ in _page(pages, "measurements.html").tags if tag == "tr"]
    assert len(rows) >= 1 + 12 + 10 + 6 + 3


def test_failed_and_missing_cells_are_shown(pages: list[_Page]) -> None:
    page = _page(pages, "measurements.html")
    assert "failed" in page.text
    assert "1 case failed" not in page.text
    assert "2 cases failed in part or whole" in page.text
    assert "Not measured in this run: Peak memory (GPU)" in page.text
    assert "Failed: checkpoint per step (ACA)." in _page(pages, "index.html").text


def test_the_dial_has_its_statement_its_figures_and_its_table(pages: list[_Page]) -> None:
    page = _page(pages, "problem-kdv-checkpoints.html")
    assert "No other exact method lies under the curve of symadj's settings." in page.text
    figures = [attrs["id"] or "" for tag, attrs in page.tags if tag == "figure"]
    endings = [key.rpartition("-")[2] for key in figures[4:]]
    assert endings == ["dial", "replays", "time", "memory", "error"]
    rows = [tag for tag, _ in page.tags if tag == "tr"]
    assert len(rows) == 2 * (1 + 6 + 4)
    assert "No other exact method lies under" in _page(pages, "index.html").text


def test_each_page_says_which_machine_and_commit_it_shows(pages: list[_Page]) -> None:
    for page in pages:
        is_hostile = "script-alert" in page.file.parent.name
        machine = hostile_folder(HOSTILE) if is_hostile else "invented"
        assert f"Shown: machine {machine}" in page.text, page.file
        assert "commit 01234567" in page.text


def test_machines_do_not_mix(site: Path) -> None:
    first = (site / "measurements.csv").read_text(encoding="utf-8")
    assert "\nkdv," not in first, "an older commit and other machines are not in the run shown"
    others = sorted(folder.name for folder in site.iterdir() if folder.is_dir())
    assert others == [
        "figures",
        "invented-pytest-benchmark",
        "raw",
        "runs",
        "z-script-alert-machine-script-asv",
    ]


def test_the_machines_page_lists_runs_versions_and_what_could_not_be_read(
    pages: list[_Page],
) -> None:
    text = next(page.text for page in pages if page.file.name == "machines.html")
    assert "2.13.0" in text
    assert "in the history: older" in text
    assert "ffffffff" in text
    assert "broken.json: not valid JSON" in text
    assert "digits-cnf, checkpoint-step, bosh3, 8-8 batch 2, adaptive, default: every" in text


def test_names_are_text(pages: list[_Page]) -> None:
    allowed = {"report.js", "plotly.min.js"}
    for page in pages:
        for tag, attrs in page.tags:
            assert tag not in {"i", "b", "iframe", "object"}
            assert not [name for name in attrs if name.startswith("on")]
            if tag == "script":
                source = attrs.get("src")
                if source is None:
                    assert attrs.get("type") == "application/json"
                else:
                    assert source.removeprefix("../") in allowed
            if tag == "img":
                assert (attrs.get("src") or "").startswith("figures/")
    problem = " ".join(HOSTILE_PROBLEM.split())
    assert problem in _page(pages, "problems.html").text
    assert HOSTILE in _page(pages, "machines.html").text


def test_pages_are_small(site: Path) -> None:
    for file in site.rglob("*.html"):
        assert file.stat().st_size < LIMIT_BYTES, file.name


def test_a_long_table_goes_on_more_pages(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.pages.machines._ROWS_PER_PAGE", 10)

    files = render_site(loaded)

    parts = [name for name in files if re.fullmatch(r"measurements(-\d+)?\.html", name)]
    assert parts == ["measurements.html", *(f"measurements-{k}.html" for k in (2, 3, 4))]
    rows = sum(files[part].count('<th scope="row">') for part in parts)
    assert rows == 12 + 10 + 6 + 3


def test_the_same_input_gives_the_same_bytes(loaded: Loaded, site: Path, tmp_path: Path) -> None:
    again = build_site(loaded, tmp_path)

    assert again == sorted(
        file.relative_to(site).as_posix() for file in site.rglob("*") if file.is_file()
    )
    for name in again:
        assert (tmp_path / name).read_bytes() == (site / name).read_bytes(), name


def test_a_new_build_clears_what_the_old_one_left(loaded: Loaded, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("kept", encoding="utf-8")
    output = tmp_path / "site"
    output.mkdir()
    for name in ("problem-old.html", "own-notes.txt"):
        (output / name).write_text("old", encoding="utf-8")
    (output / "files.txt").write_text("problem-old.html\n../outside.txt\n", encoding="utf-8")

    build_site(loaded, output)

    assert not (output / "problem-old.html").exists()
    assert (output / "own-notes.txt").exists()
    assert outside.exists()


def test_the_data_of_a_run_is_one_call_with_one_json_value(grown_site: Path) -> None:
    files = sorted((grown_site / "runs").iterdir())
    assert len(files) == 7
    for number, file in enumerate(files):
        text = file.read_text(encoding="utf-8")
        assert "<" not in text
        match = re.fullmatch(r"reportRun\((\d+),(\{.*\})\);\n", text)
        assert match is not None
        assert int(match[1]) == number
        data = json.loads(match[2])
        assert len(data["cases"]) == len(data["values"])
        assert number == 6 or HOSTILE in data["names"]


def test_every_series_is_in_the_data_and_what_moves_in_the_table(grown_site: Path) -> None:
    lines = (grown_site / "history-digits-cnf.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[6:] == ["meter", *(f"{n:x}" * 40 for n in range(1, 7))]
    page = _Page(grown_site / "history-digits-cnf.html")
    rows = sum(tag == "tr" for tag, _ in page.tags) - 1
    assert 0 < rows < len(lines) - 1
    assert f"{len(lines) - 1} series; {len(lines) - 1 - rows} of them never moved" in page.text
