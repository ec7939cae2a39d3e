"""The table: text, Markdown and page show what changed, and run nothing."""

import re
from html.parser import HTMLParser

import numpy as np

from benchmarks.compare.ratios import evaluate
from benchmarks.compare.table import Report, as_markdown, as_page, as_text
from benchmarks.compare.verdicts import Row, Status

from .invented import LIMITS, rounds

HOSTILE = "<script>alert(1)</script> | `x` @everyone\n# [a](javascript:b)"


def report(*rows, base="v0.1", notes=()):
    return Report(base, "HEAD", "a machine", tuple(rows), LIMITS, tuple(notes))


def timed_row():
    timing = evaluate(rounds(1.0, np.random.default_rng(0)))
    return Row("w", "own_seconds", Status.SAME, 0.02, 0.021, timing.ratio, timing.control)


def test_only_what_changed_is_shown_and_every_time():
    rows = (
        Row("w", "nfe_forward", Status.SAME, 5.0, 5.0),
        Row("w", "nvjp", Status.WORSE, 5.0, 6.0),
        timed_row(),
    )
    for text in (as_text(report(*rows)), as_markdown(report(*rows))):
        assert "evaluations of f, forward" not in text
        assert "vector-Jacobian products" in text
        assert "base / base" in text
        assert "1 worse among 3 figures of 1 cases" in text
    assert "evaluations of f, forward" in as_page(report(*rows))


def test_no_change_is_said():
    text = as_text(report(Row("w", "nvjp", Status.SAME, 5.0, 5.0)))
    assert "no change among 1 figures" in text


def test_hostile_text_is_shown_as_text():
    hostile = report(
        Row(HOSTILE, "nvjp", Status.WORSE, 1.0, 2.0, note=HOSTILE), base=HOSTILE, notes=[HOSTILE]
    )
    page = as_page(hostile)
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, attributes))
    parser.feed(page)
    assert "script" not in {tag for tag, _ in tags}
    assert not any(name in {"href", "src", "onclick"} for _, given in tags for name, _ in given)
    assert "alert(1)" in page
    markdown = as_markdown(hostile)
    assert "<script" not in markdown
    assert "@everyone" not in markdown
    table = [line for line in markdown.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}


def test_the_page_loads_nothing():
    page = as_page(report(timed_row()))
    assert "http" not in page
    assert "<script" not in page
