"""Two versions side by side: what changed, by how much, and how sure that is.

    python -m benchmarks compare BASE HEAD

    sides -> builds -> launcher | worker (exact, clock, instructions) -> measurement (seconds)
          -> table, page; journal keeps every figure as it comes

Exact metrics (bytes, counts, gradient error) are compared by equality or a stated tolerance.
Seconds are compared only as ratios of blocks that two processes ran in turns, with an interval.
"""
