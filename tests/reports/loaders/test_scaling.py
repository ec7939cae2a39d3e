"""Files of the scaling benchmark become a page; damaged ones a warning."""

import json

from reports.loaders.scaling import load_scaling
from reports.processes import COLUMNS, rows

RANK = {"seconds_forward": [1.0, 2.0], "seconds_backward": [1.0, 1.0], "peak_bytes": 2048}
RANK |= {"nfe": 7, "payload_bytes": {"all_reduce": 1024}}
SLOW = RANK | {"seconds_forward": [3.0, 5.0], "nfe": 9}
RUN = {
    "schema": 1, "commit": "c" * 40, "problem": "p", "size": "s", "method": "m", "steps": 5,
    "engine": "ddp", "sync_steps": False, "num_nodes": 1, "gpu": None, "cpu": "CPU", "num_cpu": 2,
    "backend": "gloo", "param_bytes": 1024,
    "cells": [
        {"mode": "weak", "world_size": 1, "batch_per_rank": 4, "ranks": [RANK]},
        {"mode": "weak", "world_size": 2, "batch_per_rank": 4, "ranks": [RANK, SLOW]},
    ],
}  # fmt: skip


def test_the_slowest_process_counts_and_ratios_are_of_rounds(tmp_path):
    folder = tmp_path / "machine" / "scaling"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(RUN))
    loaded = load_scaling(tmp_path)
    assert not loaded.warnings
    (run,) = loaded.processes
    assert run.cells[1].seconds == (4.0, 6.0)
    one, two = rows(run)
    assert len(one) == len(two) == len(COLUMNS)
    assert one[4] == "1.00×"
    assert two[3:] == ("5 s", "2.00×", "7, 9", "2 KiB", "1 KiB all-reduce")


def test_what_cannot_be_read_is_a_warning(tmp_path):
    folder = tmp_path / "machine" / "scaling"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text(json.dumps(RUN | {"schema": 2}))
    (folder / "c.json").write_text(json.dumps({"schema": 1}))
    loaded = load_scaling(tmp_path)
    assert len(loaded.warnings) == 3
    assert not loaded.processes
