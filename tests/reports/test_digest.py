"""The badge and the Markdown summary, from the results alone."""

from pathlib import Path
from xml.etree import ElementTree

from reports.changes import previous
from reports.digest import badge_svg, summary_markdown
from reports.loaders import load_asv
from reports.selection import select
from reports.summaries import summarize
from tests.reports.invented import fields, summary_of, write_history


def test_the_badge_tells_the_median_peak_memory_and_its_base(tmp_path: Path) -> None:
    badge = badge_svg(summary_of(tmp_path, {"Kdv": fields("kdv")}))

    root = ElementTree.fromstring(badge)
    assert root.get("aria-label") == "peak memory: 0.12× backprop's"


def test_a_badge_of_nothing_says_so(tmp_path: Path) -> None:
    badge = badge_svg(summary_of(tmp_path, {"Kdv": fields("kdv", methods=("symadj",))}))
    assert "not measured" in badge


def test_the_summary_lists_what_got_worse(tmp_path: Path) -> None:
    commits = [f"{number:x}" * 40 for number in range(1, 6)]
    write_history(tmp_path, commits, {"New": fields("a|b <i>")})
    (shown,) = select(load_asv(tmp_path).runs)
    before = previous(shown.run, shown.others, {})

    text = summary_markdown(summarize(shown.run), before)

    assert "Against commit 44444444, the one measured before: 1 figure of " in text
    assert "- NFE backward, a\\|b \\<i>, symadj, dopri5" in text
    assert "| a\\|b \\<i> | torchdiffeq backprop |" in text
    assert "No earlier commit" in summary_markdown(summarize(shown.run), None)
