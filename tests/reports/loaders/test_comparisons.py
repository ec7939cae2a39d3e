"""Comparisons of two versions: what a table says is shown, whatever else lies beside it."""

import json

from benchmarks.compare.table import Report, as_plain
from benchmarks.compare.verdicts import Row, Status
from reports.comparing import version_table
from reports.loaders import load


def write(folder, name="a.json", **changed):
    rows = (Row("kdv", "nfe_forward", Status.WORSE, 49.0, 50.0), Row("kdv", "nvjp", Status.SAME))
    plain = as_plain(Report("v1", "v2", "here", rows, {}), "2026-01-02T03:04:05+00:00")
    file = folder / "machine" / "compare" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**plain, **changed}))
    return file


def test_what_a_comparison_wrote_is_read_and_shown(tmp_path):
    write(tmp_path)
    (found,) = load([tmp_path], []).comparisons
    assert (found.base, found.head, found.date.year) == ("v1", "v2", 2026)
    assert "1 worse" in found.verdict
    ((first, *cells),) = version_table(found).rows
    assert first.kind == "worse"
    assert [cell.text for cell in cells[:4]] == ["kdv", "nfe_forward", "49", "50"]


def test_cut_and_foreign_files_are_named_and_the_rest_is_read(tmp_path):
    whole = write(tmp_path).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        (tmp_path / "machine" / "compare" / "b.json").write_bytes(whole[:length])
        loaded = load([tmp_path], [])
        assert len(loaded.comparisons) == 1
        assert "b.json" in loaded.warnings[0]
    write(tmp_path, "b.json", schema=9)
    write(tmp_path, "c.json", rows=[{"status": "WORSE", "cells": ["short"]}])
    write(tmp_path, "d.json", rows=7)
    assert len(load([tmp_path], []).warnings) == 3
