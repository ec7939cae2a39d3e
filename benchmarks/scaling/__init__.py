"""Scaling over processes: seconds, bytes and messages of a training step on 1, 2, 4, ... of them.

    torchrun --nproc-per-node 4 -m benchmarks.scaling
    torchrun --nnodes 8 --nproc-per-node 8 --rdzv-endpoint HOST:PORT -m benchmarks.scaling

Within one start every power of two up to the number of processes is measured, as groups of the
first ranks, in turns: A B C A B C. What ranks compare is then one machine in one state.

Rank 0 writes ``<results>/<machine>/scaling/<commit>-<problem>-<engine>-<processes>.json``::

    schema            1
    commit, date, python, packages, num_threads, cpu, gpu       as asv's provenance has it
    problem, size, method, steps, engine, sync_steps            what was trained, and how
    backend, num_nodes, num_processes, num_cpu                  where
    param_bytes       of the field: what is communicated
    links             for each number of processes: {"bytes", "seconds"} of one all-reduce (median)
    cells             for each mode and number of processes:
        mode              "strong": the batch is shared out; "weak": each process has all of it
        world_size        processes that take part
        batch_per_rank    samples of each
        ranks             for each of them:
            seconds_forward, seconds_backward   of each round, in the order of the rounds
            peak_bytes                          of a step, above its start
            nfe, nvjp, num_accepted, num_rejected
            calls, payload_bytes, ring_bytes    by kind of collective: how many, the bytes of their
                                                tensors, the bytes that the rank sends by a ring

Seconds are in seconds and bytes in bytes. Of a round the slowest rank counts.
"""
