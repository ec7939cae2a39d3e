"""The scaling benchmark in two processes: one file, with what can be known exactly."""

import json

import pytest

from benchmarks.problems import PROBLEMS
from benchmarks.scaling.__main__ import main
from benchmarks.scaling.measuring import LINK_BYTES
from benchmarks.scaling.training import Work
from tests.distributed.launch import torchrun


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    words = ["--problem", "digits-cnf", "--size", "64-8-64 batch 4", "--rounds", "2"]
    words += ["--results", str(folder)]
    done = torchrun("benchmarks.scaling", 2, folder, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = folder.glob("*/scaling/*.json")
    return json.loads(file.read_text())


def test_every_cell_has_every_rank(record):
    cells = {(cell["mode"], cell["world_size"]): cell for cell in record["cells"]}
    assert set(cells) == {("strong", 1), ("strong", 2), ("weak", 1), ("weak", 2)}
    for (mode, size), cell in cells.items():
        assert len(cell["ranks"]) == size
        assert cell["batch_per_rank"] == (2 if (mode, size) == ("strong", 2) else 4)
        for rank in cell["ranks"]:
            assert len(rank["seconds_forward"]) == len(rank["seconds_backward"]) == 2
            assert min(rank["seconds_forward"] + rank["seconds_backward"]) > 0
            assert rank["peak_bytes"] > record["param_bytes"]
            assert rank["nvjp"] >= 6 * rank["num_accepted"] > 0  # dopri5 has six stages
    assert [link["bytes"] for link in record["links"]["2"]] == list(LINK_BYTES)


def test_each_parameter_is_communicated_once_a_step(record):
    field = PROBLEMS["digits-cnf"].make("64-8-64 batch 4", 0).field
    assert record["param_bytes"] == 4 * sum(param.numel() for param in field.parameters())
    for cell in record["cells"]:
        for rank in cell["ranks"]:
            assert rank["payload_bytes"] == {"all_reduce": record["param_bytes"]}
            sent = record["param_bytes"] if cell["world_size"] == 2 else 0
            assert rank["ring_bytes"] == {"all_reduce": sent}


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        Work("mlp-size", "4-8-4 batch 6", "symadj", None).shared_out(4)


def test_one_process_alone_is_told_how(capsys, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert main([]) == 2
    assert "torchrun" in capsys.readouterr().err
