"""Collectives are counted, and nothing else."""

import pytest
import torch
import torch.distributed as dist

from benchmarks.traffic import Traffic, ring_bytes


@pytest.fixture
def alone(tmp_path):
    """A world of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_collectives_are_counted_with_the_bytes_of_the_whole():
    tensor = torch.zeros(5, dtype=torch.float64)
    with Traffic() as traffic:
        dist.all_reduce(tensor + 1)
        dist.all_reduce(tensor)
        dist.broadcast(tensor, 0)
        dist.all_gather([torch.zeros(5, dtype=torch.float64)], tensor)
        dist.reduce_scatter(tensor, [torch.zeros(5, dtype=torch.float64)])
        dist.barrier()
    assert traffic.calls == {"all_reduce": 2, "broadcast": 1, "all_gather": 1, "reduce_scatter": 1}
    assert traffic.payload_bytes == {
        "all_reduce": 80,
        "broadcast": 40,
        "all_gather": 40,
        "reduce_scatter": 40,
    }


def test_a_ring_sends_each_byte_nearly_twice_for_a_sum_and_once_for_a_gather():
    assert ring_bytes("all_reduce", 1000, 4) == 1500
    assert ring_bytes("all_gather", 1000, 4) == 750
    assert ring_bytes("all_reduce", 1000, 1) == 0
