"""Thresholds: what counts as a change, and files that cannot be used."""

from pathlib import Path

import pytest

from reports.tolerances import Threshold, ThresholdsError, read_thresholds

THRESHOLDS = Path(__file__).parents[2] / "benchmarks" / "compare" / "thresholds.toml"


def threshold(kind, **numbers):
    return Threshold("metric", "title", kind, numbers, "reason")


@pytest.mark.parametrize(
    ("limits", "base", "head", "sign"),
    [
        (threshold("equal"), 5, 6, 1),
        (threshold("equal"), 6, 5, -1),
        (threshold("equal"), 6, 6, 0),
        (threshold("relative", relative=0.01, absolute=2), 1000, 1012, 0),
        (threshold("relative", relative=0.01, absolute=2), 1000, 1013, 1),
        (threshold("relative", relative=0.01, absolute=2), 1000, 980, -1),
        (threshold("digits", digits=0.5), 1e-15, 3e-15, 0),
        (threshold("digits", digits=0.5), 1e-15, 4e-15, 1),
        (threshold("digits", digits=0.5), 1e-8, 1e-15, -1),
        (threshold("digits", digits=0.5), 0.0, 1e-16, 0),
        (threshold("digits", digits=0.5), 0.0, 1e-12, 1),
    ],
)
def test_a_change_is_one_beyond_the_limit(limits, base, head, sign):
    assert limits.compare(base, head) == sign


def test_the_projects_own_file_is_complete():
    thresholds = read_thresholds(THRESHOLDS)
    assert all(len(each.reason) > 10 for each in thresholds.values())
    assert [each.metric for each in thresholds.values() if not each.is_exact] == ["own_seconds"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[m\n", "cannot be read"),
        ("m = 3", "not a table"),
        ('[m]\nkind = "odd"\n', "allowed are equal, relative, digits, ratio"),
        ('[m]\nkind = "digits"\ntitle = "t"\nreason = "r"\n', "digits, kind, reason, title"),
        ('[m]\nkind = "digits"\ntitle = "t"\nreason = "r"\ndigits = -1\n', "numbers from 0"),
        ('[m]\nkind = "digits"\ntitle = "t"\nreason = "r"\ndigits = "x"\n', "numbers from 0"),
        ('[m]\nkind = "equal"\ntitle = "t"\nreason = "r"\nslack = 1\n', "slack"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, said):
    file = tmp_path / "thresholds.toml"
    file.write_text(text)
    with pytest.raises(ThresholdsError, match=r"thresholds\.toml") as caught:
        read_thresholds(file)
    assert said in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ThresholdsError, match="cannot be read"):
        read_thresholds(tmp_path / "none.toml")
