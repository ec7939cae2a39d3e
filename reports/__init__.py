"""The published report: a static site made from files of measurements, and from nothing else.

Data flows one way::

    loaders -> records -> summaries -> figures -> pages

A loader turns asv's result files, or pytest-benchmark's, into records; summaries set each
measurement beside its base; figures hold what is drawn, once, for both renderers; pages write it
down. The package imports neither ``symadj`` nor ``benchmarks``: results of any version, from any
machine, can be shown by today's report.
"""
