"""A benchmark of the detector itself: faults planted in a copy of symadj, and no fault at all.

python -m benchmarks.compare.proof            everything, 6 hours;  killed, it goes on
python -m benchmarks.compare.proof --short    each exact fault once, half a minute
"""
