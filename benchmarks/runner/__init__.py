"""Runs that can be killed and go on: every group of cases is kept as soon as it is measured.

Each module needs only what stands before it: code_state, conditions, journal, worker, remaining,
measuring, collecting (by asv), sharing, cluster (by Ray), command, merging.
"""
