"""Accepted regressions: complete, with a reason, and spent once merged."""

from pathlib import Path

import pytest

from benchmarks.compare.accepted import FILE, AcceptedError, new_in, parse_accepted

from .invented import LIMITS

ENTRY = '[[accepted]]\nmetric = "nfe_forward"\ncase = "kdv"\nup_to = 1.2\nreason = "why"\n'


def test_an_entry_excuses_its_metric_its_cases_and_its_ratio():
    (entry,) = parse_accepted(ENTRY, LIMITS)
    assert entry.excuses("nfe_forward", "kdv/dopri8", 1.2)
    assert not entry.excuses("nfe_forward", "kdv/dopri8", 1.21)
    assert not entry.excuses("nvjp", "kdv/dopri8", 1.1)
    assert not entry.excuses("nfe_forward", "mlp", 1.1)


def test_what_the_base_has_already_is_spent():
    base = parse_accepted(ENTRY, LIMITS)
    head = parse_accepted(ENTRY + ENTRY.replace("kdv", "mlp"), LIMITS)
    assert [entry.case for entry in new_in(head, base)] == ["mlp"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted", "cannot be read"),
        ("accepted = 3", r"\[\[accepted\]\]"),
        (ENTRY.replace('reason = "why"\n', ""), "must have"),
        (ENTRY.replace('"why"', '" "'), "no reason"),
        (ENTRY.replace("nfe_forward", "nfe"), "allowed are"),
        (ENTRY.replace("1.2", "0.9"), "from 1"),
        (ENTRY.replace('"kdv"', '"("'), "regular expression"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said(text, said):
    with pytest.raises(AcceptedError, match=said):
        parse_accepted(text, LIMITS)


def test_the_projects_own_file_can_be_read():
    text = (Path(__file__).parents[3] / FILE).read_text(encoding="utf-8")
    parse_accepted(text, LIMITS)
