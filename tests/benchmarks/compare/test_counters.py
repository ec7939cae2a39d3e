"""Counts of what torch is asked to do, with known answers."""

import torch

from benchmarks.compare.counters import count_dispatched, count_saved


def test_operations_and_syncs_of_a_known_call():
    x = torch.ones(8, dtype=torch.float64)

    def call():
        y = x + 1  # one operation, 64 bytes
        y.mul_(2)  # one, 64 bytes again
        y[2:].sum().item()  # a view, a sum of 8 bytes, a sync

    counts = count_dispatched(call, torch.float64)
    assert counts.operations == 5
    assert counts.host_syncs == 1
    assert counts.narrow_operations == 0
    assert counts.bytes_written == 64 + 64 + 8


def test_operations_of_the_backward_pass_count():
    x = torch.ones(3, requires_grad=True)
    forward = count_dispatched(lambda: (x * x).sum(), torch.float32)
    both = count_dispatched(lambda: (x * x).sum().backward(), torch.float32)
    assert both.operations > forward.operations


def test_lower_precision_is_seen_and_higher_is_not():
    x = torch.ones(2, dtype=torch.float64)
    assert count_dispatched(lambda: x.float().double() + 1, torch.float64).narrow_operations == 1
    assert count_dispatched(lambda: x.float().double() + 1, torch.float32).narrow_operations == 0


def test_saved_bytes_are_those_of_the_graphs_alive_at_once():
    x = torch.ones(100, requires_grad=True)

    def one_at_a_time():
        for _ in range(3):
            x.exp().sum().backward()  # saves its result, 400 bytes

    def all_at_once():
        sums = [x.exp().sum() for _ in range(3)]
        sum(sums).backward()

    alone, together = count_saved(one_at_a_time), count_saved(all_at_once)
    assert (alone.peak, together.peak) == (400, 1200)
    assert (alone.alive, together.alive) == (0, 0)
